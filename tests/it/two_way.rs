//! Both directions on the running operator.

mod flow;
mod refusals;
