//! Leaves the hidden columns of streams out of `*` and `s.*`.

use crate::ddl::normal;
use crate::text::place;
use crate::walk::functions::relation;
use crate::walk::{Flow, Walker};
use citystream_model::stream::HIDDEN;
use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Ident, ObjectName, ObjectNamePart, Select, SelectItem, SelectItemQualifiedWildcardKind,
    TableFactor, WildcardAdditionalOptions,
};
use std::ops::ControlFlow;

impl Walker<'_> {
    /// Leaves the hidden columns of the streams in FROM out of `*` and `s.*`.
    pub(super) fn wildcards(&self, select: &mut Select) -> Flow {
        let exposing: Vec<Ident> = relations(select).filter_map(|factor| self.exposes_hidden(factor)).collect();
        if exposing.is_empty() {
            return ControlFlow::Continue(());
        }
        for item in &mut select.projection {
            match item {
                SelectItem::Wildcard(options) if exposing.len() == 1 => hide(options),
                SelectItem::Wildcard(options) => {
                    let help = "write s.* for each stream s, or list the columns";
                    return self.refuse(
                        "S012",
                        place(options.wildcard_token.0.span.start),
                        "found * over several streams, whose columns have the same names",
                        help,
                    );
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                    if exposing.iter().any(|exposed| is_name(name, exposed)) =>
                {
                    hide(options);
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    /// The name by which a stream, or a window directly over one, is known in this SELECT.
    fn exposes_hidden(&self, factor: &TableFactor) -> Option<Ident> {
        let TableFactor::Table { name, alias, args, .. } = factor else { return None };
        let stream = match args {
            None => name.0.last()?.as_ident()?,
            Some(args) => args.args.iter().enumerate().find_map(|(position, arg)| relation(position, arg))?,
        };
        self.catalog
            .streams
            .contains_key(&normal(stream))
            .then(|| alias.as_ref().map_or_else(|| stream.clone(), |alias| alias.name.clone()))
    }
}

/// All tables of a SELECT's FROM.
fn relations(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
}

fn is_name(name: &ObjectName, ident: &Ident) -> bool {
    matches!(name.0.last(), Some(ObjectNamePart::Identifier(part)) if normal(part) == normal(ident))
}

/// Adds the hidden columns to what a wildcard leaves out.
fn hide(options: &mut WildcardAdditionalOptions) {
    let mut hidden = HIDDEN.iter().map(|name| Ident::new(*name));
    let Some(first) = hidden.next() else { return };
    let except = options
        .opt_except
        .get_or_insert_with(|| ExceptSelectItem { first_element: first.clone(), additional_elements: Vec::new() });
    if except.first_element != first {
        except.additional_elements.push(first);
    }
    except.additional_elements.extend(hidden);
}
