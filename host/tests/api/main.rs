//! The API against a real store: who may do what, what is described, what bad input gets.

#[path = "../../../plugin-api/tests/support/noise.rs"]
mod seeded;

mod accounts;
mod apply;
mod audit;
mod cli;
mod log;
mod managed;
mod noise;
mod objects;
mod routes;
mod schedules;
mod support;
mod tokens;
