//! As much of HCL as policies are written in: blocks with one label, keys with values, comments; and JSON.

use serde_json::{Map, Value};

/// `kind "label" { key = value … }`, or `kind = value` with neither label nor body.
pub(super) struct Block {
    pub(super) kind: String,
    pub(super) label: Option<String>,
    pub(super) body: Vec<Word>,
    pub(super) line: usize,
}

/// `key = value`.
pub(super) struct Word {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

/// Reads a whole text. An error begins with the place, `At line:column: `.
pub(super) fn parse(text: &str) -> Result<Vec<Block>, String> {
    if let Ok(Value::Object(document)) = serde_json::from_str(text) {
        return Ok(of_json(&document));
    }
    // The servers read all words before they look at their order: an open string is found first.
    let mut words = Reader { rest: text, line: 1, column: 1 };
    while !words.rest.is_empty() {
        words.skip_blank();
        if words.rest.starts_with('"') {
            words.string()?;
        } else {
            words.next();
        }
    }
    let mut reader = Reader { rest: text, line: 1, column: 1 };
    let mut blocks = Vec::new();
    loop {
        reader.skip_blank();
        if reader.rest.is_empty() {
            return Ok(blocks);
        }
        blocks.push(reader.block()?);
    }
}

/// `{"path": {"x": {"capabilities": […]}}}`.
fn of_json(document: &Map<String, Value>) -> Vec<Block> {
    let words = |body: &Value| {
        let fields = body.as_object().into_iter().flatten();
        fields.map(|(key, value)| Word { key: key.clone(), value: value.clone(), line: 1 }).collect()
    };
    let mut blocks = Vec::new();
    for (kind, labels) in document {
        match labels.as_object() {
            Some(labels) => blocks.extend(labels.iter().map(|(label, body)| Block {
                kind: kind.clone(),
                label: Some(label.clone()),
                body: words(body),
                line: 1,
            })),
            None => blocks.push(Block { kind: kind.clone(), label: None, body: Vec::new(), line: 1 }),
        }
    }
    blocks
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl Reader<'_> {
    fn block(&mut self) -> Result<Block, String> {
        let line = self.line;
        let kind = self.key()?;
        self.skip_blank();
        if self.eat('=') {
            self.value()?;
            return Ok(Block { kind, label: None, body: Vec::new(), line });
        }
        let label = if self.rest.starts_with('"') { Some(self.string()?) } else { None };
        self.skip_blank();
        if !self.eat('{') {
            return Err(self.error("object expected closing RBRACE got: EOF"));
        }
        let mut body = Vec::new();
        loop {
            self.skip_blank();
            if self.eat('}') {
                return Ok(Block { kind, label, body, line });
            }
            let line = self.line;
            let key = self.key()?;
            self.skip_blank();
            // A block inside a block (`allowed_parameters { … }`) needs no equals sign.
            if !self.eat('=') && !self.rest.starts_with('{') {
                return Err(self.error("expected an equals sign"));
            }
            let value = self.value()?;
            body.push(Word { key, value, line });
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip_blank();
        if self.eat('[') {
            let mut items = Vec::new();
            loop {
                self.skip_blank();
                if self.eat(']') {
                    return Ok(Value::Array(items));
                }
                items.push(self.value()?);
                self.skip_blank();
                self.eat(',');
            }
        }
        if self.eat('{') {
            let mut fields = Map::new();
            loop {
                self.skip_blank();
                if self.eat('}') {
                    return Ok(Value::Object(fields));
                }
                let key = self.key()?;
                self.skip_blank();
                self.eat('=');
                let value = self.value()?;
                fields.insert(key, value);
                self.skip_blank();
                self.eat(',');
            }
        }
        if self.rest.starts_with('"') {
            return self.string().map(Value::String);
        }
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
        match word.as_str() {
            "" => Err(self.error("unexpected token while parsing a value")),
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            number => number
                .parse::<serde_json::Number>()
                .map(Value::Number)
                .map_err(|_| self.error("illegal character")),
        }
    }

    fn key(&mut self) -> Result<String, String> {
        if self.rest.starts_with('"') {
            return self.string();
        }
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if word.is_empty() { Err(self.error("illegal character")) } else { Ok(word) }
    }

    fn string(&mut self) -> Result<String, String> {
        self.eat('"');
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                None | Some('\n') => return Err(self.error("literal not terminated")),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(other) => text.push(other),
                    None => return Err(self.error("literal not terminated")),
                },
                Some(other) => text.push(other),
            }
        }
    }

    fn skip_blank(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                let end = self.rest.find("*/").map_or(self.rest.len(), |at| at + 2);
                let goal = self.rest.len() - end;
                while self.rest.len() > goal {
                    self.next();
                }
            } else {
                return;
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.rest.chars().next().filter(|c| wanted(*c)) {
            taken.push(c);
            self.next();
        }
        taken
    }

    fn eat(&mut self, wanted: char) -> bool {
        let is_next = self.rest.starts_with(wanted);
        if is_next {
            self.next();
        }
        is_next
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn error(&self, what: &str) -> String {
        format!("At {}:{}: {what}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_lists_and_nested_objects_are_read() {
        let text = "# one\n// two\n/* three\n */ path \"a\" {\n capabilities = [\"read\", \"list\",]\n \
                    allowed_parameters = { \"x\" = [] }\n min_wrapping_ttl = 5 }\nname = \"n\"";
        let blocks = parse(text).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[0].label.as_deref(), Some("a"));
        assert_eq!(blocks[0].body[0].value, json!(["read", "list"]));
        assert_eq!(blocks[0].body[1].value, json!({"x": []}));
        assert_eq!(blocks[0].body[2].line, 7);
    }

    #[test]
    fn json_is_read_as_well() {
        let blocks = parse(r#"{"path": {"a": {"capabilities": ["read"]}}}"#).unwrap();
        assert_eq!(blocks[0].body[0].value, json!(["read"]));
    }
}
