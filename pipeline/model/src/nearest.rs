//! The nearest known name to a mistyped one, for "did you mean".

/// The candidate nearest to `name` by edit distance, if it is near enough to be a slip of the keyboard.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let limit = (length / 3).max(1) + 1;
    // Of two short names, half of the letters have to stay what they are.
    let is_slip = |edits: usize, candidate: &str| edits <= limit && edits * 2 <= length.max(candidate.chars().count());
    candidates
        .into_iter()
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(edits, candidate)| is_slip(*edits, candidate))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters (Wagner and Fischer, 1974), one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        let known = ["lateness", "sink", "emit"];
        assert_eq!(nearest("latenes", known), Some("lateness"));
        assert_eq!(nearest("Sinks", known), Some("sink"));
        assert_eq!(nearest("watermark_strategy", known), None);
        assert_eq!(nearest("day", ["a", "day_start"]), None);
    }
}
