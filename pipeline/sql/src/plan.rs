//! From a checked query to a plan: what each construct means, one file each.

pub(crate) mod aggregate;
pub(crate) mod assign;
pub(crate) mod below;
pub(crate) mod calls;
pub(crate) mod columns;
pub(crate) mod compare;
pub(crate) mod join;
pub(crate) mod lower;
pub(crate) mod order;
pub(crate) mod output;
pub(crate) mod over;
pub(crate) mod piece;
pub(crate) mod route;
pub(crate) mod session;
pub(crate) mod sorts;
pub(crate) mod top_n;
pub(crate) mod union;
pub(crate) mod window_node;
pub(crate) mod windows;
