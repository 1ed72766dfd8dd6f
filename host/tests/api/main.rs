//! The API against a real store: who may do what, what is described, what bad input gets.

mod accounts;
mod apply;
mod cli;
mod log;
mod managed;
mod objects;
mod routes;
mod schedules;
mod support;
mod tokens;
