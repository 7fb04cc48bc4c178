//! Lists: `--format`, `--quiet`, Docker's tables.

use super::failure::{Failure, Outcome};
use super::format::{Data, Template};
use super::output::print;
use super::table;
use serde_json::{Map, Value, json};

/// What a list command prints.
pub struct List<'l> {
    /// `--format` or the configuration's; empty means the table.
    pub format: &'l str,
    /// Only identifiers.
    pub quiet: bool,
    /// The default table's template, without `table `.
    pub table: &'l str,
    /// What `--quiet` prints of a row.
    pub id: &'l str,
    /// Headings by field; those that aren't here are the field's name in capitals.
    pub headings: &'l [(&'l str, &'l str)],
}

/// One row: its fields, and its labels for `.Label`.
pub struct Row {
    /// The fields.
    pub fields: Value,
    /// The labels.
    pub labels: Value,
}

impl Row {
    /// A row without labels.
    pub fn new(fields: Value) -> Self {
        Self { fields, labels: json!({}) }
    }

    /// A row with labels.
    pub fn labelled(fields: Value, labels: &Value) -> Self {
        Self { fields, labels: labels.clone() }
    }
}

impl List<'_> {
    /// Prints the rows.
    ///
    /// # Errors
    /// The template is wrong, or nobody reads the output.
    pub fn print(&self, rows: &[Row]) -> Outcome {
        print(&self.text(rows)?)
    }

    /// The text of the rows.
    ///
    /// # Errors
    /// The template is wrong.
    pub fn text(&self, rows: &[Row]) -> Outcome<String> {
        let quiet = format!("{{{{.{}}}}}", self.id);
        let format = match self.format {
            _ if self.quiet && (self.format.is_empty() || self.format == "table") => &quiet,
            "" | "table" => &format!("table {}", self.table),
            "json" => "{{json .}}",
            other => other,
        };
        // Docker's: the shell hands over \t and \n as two characters.
        let format = format.replace("\\t", "\t").replace("\\n", "\n");
        let (format, heading) = match format.strip_prefix("table") {
            Some(rest) => (rest.trim().to_owned(), true),
            None => (format, false),
        };
        let template = Template::new(&format).map_err(Failure::new)?;
        let mut lines = String::new();
        if heading {
            lines += &self.heading(&template, &format)?;
            lines.push('\n');
        }
        for row in rows {
            let mut fields = row.fields.clone();
            if let Some(map) = fields.as_object_mut() {
                map.sort_keys();
            }
            let data = Data { root: &fields, labels: Some(&row.labels) };
            let line = template.render_with(data).map_err(Failure::new)?;
            if format == "{{json .}}" {
                // Whole rows go through Go's json.Marshal, which escapes these.
                lines +=
                    &line.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
            } else {
                lines += &line;
            }
            lines.push('\n');
        }
        Ok(if heading { table::align(&lines) } else { lines })
    }

    /// The template with every field being its heading.
    fn heading(&self, template: &Template, format: &str) -> Outcome<String> {
        let mut names = Map::new();
        // Every name the template could ask for, so that a wrong one is told by the rows.
        for word in format.split(|c: char| !c.is_ascii_alphanumeric()) {
            names.insert(word.to_owned(), word.to_uppercase().into());
        }
        for (field, heading) in self.headings {
            names.insert((*field).to_owned(), (*heading).into());
        }
        let labels: Map<String, Value> = format
            .split(['"', '`'])
            .map(|label| {
                let last = label.rsplit('.').next().unwrap_or(label);
                (label.to_owned(), last.replace(['-', '_'], " ").into())
            })
            .collect();
        let data = Data { root: &names.into(), labels: Some(&labels.into()) };
        template.render_with(data).map_err(Failure::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: &str, quiet: bool) -> String {
        let list = List {
            format,
            quiet,
            table: "{{.ID}}\t{{.CreatedAt}}",
            id: "ID",
            headings: &[("ID", "CONTAINER ID"), ("CreatedAt", "CREATED AT")],
        };
        let row = Row::labelled(json!({"ID": "1", "CreatedAt": "now"}), &json!({"a.b-c": "v"}));
        list.text(&[row]).unwrap()
    }

    #[test]
    fn formats() {
        assert_eq!(text("", false), "CONTAINER ID   CREATED AT\n1              now\n");
        assert_eq!(text("", true), "1\n");
        assert_eq!(text("table", true), "1\n");
        assert_eq!(text("json", false), "{\"CreatedAt\":\"now\",\"ID\":\"1\"}\n");
        let row = Row::new(json!({"ID": "<none>"}));
        let list = List { format: "json", quiet: false, table: "", id: "ID", headings: &[] };
        assert_eq!(list.text(&[row]).unwrap(), "{\"ID\":\"\\u003cnone\\u003e\"}\n");
        assert_eq!(text(r"{{.ID}}\t{{.CreatedAt}}", true), "1\tnow\n");
        assert_eq!(text("table {{.ID}}", false), "CONTAINER ID\n1\n");
        assert_eq!(text(r#"table {{.Label "a.b-c"}}"#, false), "b c\nv\n");
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        let list =
            List { format: "table {{.Nope}}", quiet: false, table: "", id: "ID", headings: &[] };
        assert!(list.text(&[Row::new(json!({"ID": "1"}))]).is_err());
    }
}
