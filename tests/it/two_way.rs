//! Both directions on the running operator.

mod binding;
mod flow;
mod refusals;
