//! How deep a statement nests, told from its tokens alone: a tree that is too deep would overflow the stack of whoever
//! walks, plans or drops it.

use crate::text::{Place, is_word, place};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Most parentheses and CASEs inside one another.
const MAX_NESTED: usize = 40;
/// Most operators in one expression: `a + b + c` has two.
const MAX_CHAIN: usize = 500;
/// Most joins and set operations in one statement.
const MAX_JOINS: usize = 100;

/// Where a statement becomes too deep, and how.
pub(super) fn too_deep<'a>(words: impl Iterator<Item = &'a TokenWithSpan>) -> Option<(Place, String)> {
    // Operators so far, of the expression at each level of nesting.
    let (mut levels, mut joins) = (vec![0usize], 0usize);
    for token in words {
        match kind(&token.token) {
            Kind::Opens => levels.push(0),
            Kind::Closes if levels.len() > 1 => drop(levels.pop()),
            Kind::Ends => levels.iter_mut().last().into_iter().for_each(|chain| *chain = 0),
            Kind::Operator => levels.iter_mut().last().into_iter().for_each(|chain| *chain += 1),
            Kind::Joins => joins += 1,
            Kind::Closes | Kind::Other => {}
        }
        let found = if levels.len() > MAX_NESTED + 1 {
            format!("nested too deeply, at most {MAX_NESTED} parentheses inside one another are taken")
        } else if levels.last().is_some_and(|chain| *chain > MAX_CHAIN) {
            format!("the expression is too long, at most {MAX_CHAIN} operators in a row are taken")
        } else if joins > MAX_JOINS {
            format!("the statement is too long, at most {MAX_JOINS} joins and unions are taken")
        } else {
            continue;
        };
        return Some((place(token.span.start), found));
    }
    None
}

enum Kind {
    Opens,
    Closes,
    /// Begins another expression at the same level.
    Ends,
    Operator,
    Joins,
    Other,
}

fn kind(token: &Token) -> Kind {
    let is = |words: &[&str]| matches!(token, Token::Word(_)) && words.iter().any(|word| is_word(token, word));
    match token {
        Token::LParen | Token::LBracket | Token::LBrace => Kind::Opens,
        Token::RParen | Token::RBracket | Token::RBrace => Kind::Closes,
        Token::Comma => Kind::Ends,
        Token::Word(_) if is(&["case"]) => Kind::Opens,
        Token::Word(_) if is(&["end"]) => Kind::Closes,
        Token::Word(_)
            if is(&["select", "from", "where", "group", "having", "qualify", "on", "when", "then", "else"]) =>
        {
            Kind::Ends
        }
        Token::Word(_) if is(&["join", "union", "intersect", "except"]) => Kind::Joins,
        Token::Word(_)
            if is(&["and", "or", "not", "is", "like", "ilike", "between", "in", "collate", "at", "xor", "div"]) =>
        {
            Kind::Operator
        }
        Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Period => Kind::Other,
        _ => Kind::Operator,
    }
}
