//! The search language of `files.list`, as far as providers use it: terms, `and`, `or`.
//! <https://developers.google.com/workspace/drive/api/guides/ref-search-terms>

use super::refusal::Refusal;

/// What a search asks of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Term {
    InParents(String),
    Trashed(bool),
    MimeIs(String),
    MimeIsNot(String),
    NameContains(String),
}

/// Terms that must all hold, in alternatives of which one must.
pub fn parse(q: &str) -> Result<Vec<Vec<Term>>, Refusal> {
    let tokens = tokens(q)?;
    let words = |token: &Token| matches!(token, Token::Word(word) if word == "or");
    tokens
        .split(words)
        .map(|alternative| {
            let and = |token: &Token| matches!(token, Token::Word(word) if word == "and");
            alternative
                .split(and)
                .map(|tokens| term(q, tokens))
                .collect()
        })
        .collect()
}

#[derive(Debug)]
enum Token {
    Word(String),
    Text(String),
}

fn term(q: &str, tokens: &[Token]) -> Result<Term, Refusal> {
    use Token::{Text, Word};
    Ok(match tokens {
        [Text(id), Word(is), Word(parents)] if is == "in" && parents == "parents" => {
            Term::InParents(id.clone())
        }
        [Word(field), Word(op), Word(value)] if field == "trashed" && op == "=" => {
            Term::Trashed(value == "true")
        }
        [Word(field), Word(op), Text(kind)] if field == "mimeType" && op == "=" => {
            Term::MimeIs(kind.clone())
        }
        [Word(field), Word(op), Text(kind)] if field == "mimeType" && op == "!=" => {
            Term::MimeIsNot(kind.clone())
        }
        [Word(field), Word(op), Text(part)] if field == "name" && op == "contains" => {
            Term::NameContains(part.clone())
        }
        _ => return Err(invalid(q)),
    })
}

fn tokens(q: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut characters = q.chars().peekable();
    while let Some(&next) = characters.peek() {
        match next {
            ' ' => {
                characters.next();
            }
            '\'' => {
                characters.next();
                let mut text = String::new();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some('\\') => text.extend(characters.next()),
                        Some(character) => text.push(character),
                        None => return Err(invalid(q)),
                    }
                }
                tokens.push(Token::Text(text));
            }
            '=' | '!' => {
                let mut word = String::new();
                while let Some(&character @ ('=' | '!')) = characters.peek() {
                    word.push(character);
                    characters.next();
                }
                tokens.push(Token::Word(word));
            }
            _ => {
                let mut word = String::new();
                while let Some(&character) = characters.peek() {
                    if !character.is_ascii_alphanumeric() {
                        break;
                    }
                    word.push(character);
                    characters.next();
                }
                if word.is_empty() {
                    return Err(invalid(q));
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn invalid(q: &str) -> Refusal {
    Refusal {
        location: Some("q".to_owned()),
        is_violation: true,
        ..Refusal::new(400, "invalid", format!("Invalid Value: {q}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_with_their_escapes() {
        let q = r"mimeType != 'a/b' and trashed=false and name contains 'it\'s'";
        let expected = vec![vec![
            Term::MimeIsNot("a/b".to_owned()),
            Term::Trashed(false),
            Term::NameContains("it's".to_owned()),
        ]];
        assert_eq!(parse(q).unwrap(), expected);
        assert_eq!(parse("'a' in parents or 'b' in parents").unwrap().len(), 2);
        for wrong in ["", "'a", "name contains a", "a' in parents", "trashed"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
