//! The entry points by subject; the bodies stand beside them.

mod caller;
mod constants;
mod contention;
mod hold;
mod learn;
mod maps;
mod reader;
mod site;
mod span;
mod wait;
