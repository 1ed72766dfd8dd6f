//! The runnables that stored content names by their paths, each with where: a JSON pointer.

use serde_json::Value;

/// What the steps of a flow run, its preprocessor, and who is told of their errors.
#[must_use]
pub fn runnables_of_flow(flow: &Value) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    note_run(flow, "preprocessor", "", &mut found);
    note_steps(flow, "steps", "", &mut found);
    found
}

/// What a connection asks for its address and for its first messages.
#[must_use]
pub fn runnables_of_socket(socket: &Value) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    note_path(&socket["url"], "runnable", "/url", &mut found);
    let openings = socket["initial_messages"].as_array();
    for (index, opening) in openings.into_iter().flatten().enumerate() {
        let at = format!("/initial_messages/{index}");
        note_path(opening, "runnable", &at, &mut found);
    }
    found
}

fn note_steps<'a>(of: &'a Value, key: &str, pointer: &str, found: &mut Vec<(String, &'a str)>) {
    let steps = of[key].as_array();
    for (index, step) in steps.into_iter().flatten().enumerate() {
        let at = format!("{pointer}/{key}/{index}");
        note_path(step, "run", &at, found);
        note_run(step, "on_error", &at, found);
        for inner in ["then", "else", "steps"] {
            note_steps(step, inner, &at, found);
        }
    }
}

fn note_run<'a>(of: &'a Value, key: &str, pointer: &str, found: &mut Vec<(String, &'a str)>) {
    let at = format!("{pointer}/{key}");
    note_path(&of[key], "run", &at, found);
    if of[key]["on_error"].is_object() {
        note_run(&of[key], "on_error", &at, found);
    }
}

fn note_path<'a>(of: &'a Value, key: &str, pointer: &str, found: &mut Vec<(String, &'a str)>) {
    if let Some(path) = of[key].as_str() {
        found.push((format!("{pointer}/{key}"), path));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flow_names_runnables_at_each_depth_and_none_in_its_data() {
        let flow = json!({
            "preprocessor": {"run": "f/shape", "on_error": {"run": "f/told"}},
            "steps": [
                {"id": "a", "run": "f/a", "inputs": {"run": "f/data", "steps": [{"run": "f/data"}]},
                    "on_error": {"run": "f/b", "inputs": {"run": "f/data"}, "then": "go_on"}},
                {"id": "c", "if": "true", "then": [{"id": "d", "run": "f/d"}],
                    "else": [{"id": "e", "for_each": "[1]", "steps": [{"id": "g", "run": "f/g"}]}]},
                {"id": "h", "run": "f/h", "on_error": {"then": "go_on"}, "retry": null},
            ],
            "result": {"run": "f/data"},
        });
        let found = runnables_of_flow(&flow);
        for (pointer, path) in &found {
            assert_eq!(
                flow.pointer(pointer).and_then(Value::as_str),
                Some(*path),
                "{pointer}"
            );
        }
        let paths: Vec<&str> = found.iter().map(|(_, path)| *path).collect();
        let expected = ["f/shape", "f/told", "f/a", "f/b", "f/d", "f/g", "f/h"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_connection_names_what_it_asks() {
        let socket = json!({
            "url": {"runnable": "f/url", "arguments": {"runnable": "f/data"}},
            "initial_messages": [{"message": {"runnable": "f/data"}}, {"runnable": "f/first"}],
        });
        let expected = [
            ("/url/runnable".to_owned(), "f/url"),
            ("/initial_messages/1/runnable".to_owned(), "f/first"),
        ];
        assert_eq!(runnables_of_socket(&socket), expected);
        let plain = json!({"url": "wss://stream.example.org", "headers": {"runnable": "f/data"}});
        assert_eq!(runnables_of_socket(&plain), []);
    }
}
