//! Go templates for `--format`: the part of the language and the functions that Docker documents.
//!
//! Own code, because the one crate there is (gtmpl) has had no release since 2021, can't be told to
//! fail on missing keys as Docker does, and is larger than this.

mod eval;
mod functions;
mod lex;
mod nil;
mod parse;
mod print;

pub use eval::{Data, truth};

use parse::Node;
use serde_json::Value;

/// A template, read.
pub struct Template {
    nodes: Vec<Node>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Docker's words and what is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        let nodes =
            parse::parse(text).map_err(|error| format!("template parsing error: {error}"))?;
        Ok(Self { nodes })
    }

    /// Prints a value.
    ///
    /// # Errors
    /// Docker's words and what can't be evaluated.
    pub fn render(&self, root: &Value) -> Result<String, String> {
        self.render_with(Data { root, labels: None })
    }

    /// Prints a value of a list.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_with(&self, data: Data<'_>) -> Result<String, String> {
        eval::render(&self.nodes, data)
            .map_err(|error| format!("template parsing error: template: :1: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container() -> Value {
        json!({
            "Name": "/web",
            "State": {"Status": "running", "Pid": 42, "Running": true},
            "Config": {"Env": ["A=1", "B=2"], "Labels": {"com.x": "y"}},
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null},
                "Networks": {"bridge": {"IPAddress": "10.0.0.2", "MacAddress": "02:42"}}
            },
            "Mounts": []
        })
    }

    fn show(template: &str) -> String {
        Template::new(template).unwrap().render(&container()).unwrap()
    }

    /// The examples of Docker's "docker inspect" and "formatting" pages.
    #[test]
    fn documented_examples() {
        assert_eq!(show("{{.State.Pid}}"), "42");
        assert_eq!(show("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"), "10.0.0.2");
        assert_eq!(
            show(
                "{{range $p, $conf := .NetworkSettings.Ports}} {{$p}} -> \
                 {{with $conf}}{{(index . 0).HostPort}}{{else}}none{{end}} {{end}}"
            ),
            " 443/tcp -> none  80/tcp -> 8080 "
        );
        assert_eq!(
            show(r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}"#),
            "8080"
        );
        assert_eq!(show("{{json .State}}"), r#"{"Status":"running","Pid":42,"Running":true}"#);
        assert_eq!(show(r#"{{join .Config.Env ", "}}"#), "A=1, B=2");
        assert_eq!(show(r#"{{split .Name "/"}}"#), "[ web]");
        assert_eq!(
            show("{{title .State.Status}} {{upper .Name}} {{lower `AB`}}"),
            "Running /WEB ab"
        );
        assert_eq!(show(r#"{{pad "x" 2 1}}|"#), "  x |");
        assert_eq!(show("{{truncate .State.Status 3}}"), "run");
        assert_eq!(show("{{range .Config.Env}}{{println .}}{{end}}"), "A=1\nB=2\n");
        assert_eq!(show(r#"{{ index .Config.Labels "com.x" }}"#), "y");
        assert_eq!(show("{{slice .Name 1}} {{len .Config.Env}}"), "web 2");
    }

    #[test]
    fn logic_and_printing() {
        assert_eq!(show("{{if and .State.Running (gt .State.Pid 1)}}up{{else}}down{{end}}"), "up");
        assert_eq!(show("{{if eq .State.Status \"a\" \"running\"}}y{{end}}"), "y");
        assert_eq!(show("{{if .Mounts}}m{{else if .Name}}n{{else}}o{{end}}"), "n");
        assert_eq!(show(r#"{{printf "%-5s|%03d|%q|%v" "a" 7 "b" true}}"#), "a    |007|\"b\"|true");
        assert_eq!(show("{{$x := .State}}{{$x.Pid}}{{$.Name}}"), "42/web");
        assert_eq!(show("a {{- /* c */ -}} b"), "ab");
        assert_eq!(show("{{.Name | printf \"%s!\" | upper}}"), "/WEB!");
        assert_eq!(show("{{.Config.Env}} {{.State}}"), "[A=1 B=2] {running 42 true}");
        assert_eq!(show("{{.Config.Labels}}"), "map[com.x:y]");
        assert_eq!(show("{{not true}} {{or 0 \"\" 3}} {{ne 1 2}}"), "false 3 true");
        assert_eq!(show("{{.Config.Labels.none}}"), "<no value>");
    }

    #[test]
    fn nothing_is_printed_by_its_type() {
        let value = json!({"Config": {"Cmd": null, "Volumes": null}, "State": {"Pid": 1}});
        let show = |text: &str| Template::new(text).unwrap().render(&value);
        assert_eq!(show("{{.Config.Cmd}} {{.Config.Volumes}}").unwrap(), "[] map[]");
        assert_eq!(show("{{json .Config.Cmd}} {{.State.Health}}").unwrap(), "null <nil>");
        assert_eq!(show("{{if .State.Health}}{{.State.Health.Status}}{{end}}").unwrap(), "");
        assert!(show("{{.State.Health.Status}}").unwrap_err().contains("key \"Health\""));
    }

    #[test]
    fn mistakes_are_told_in_gos_words() {
        let error = |template: &str| match Template::new(template) {
            Err(error) => error,
            Ok(template) => template.render(&container()).unwrap_err(),
        };
        assert!(error("{{.Nope}}").contains("map has no entry for key \"Nope\""));
        assert!(error("{{.State.Pid.X}}").contains("can't evaluate field X"));
        assert!(error("{{foo}}").contains("function \"foo\" not defined"));
        assert!(error("{{if .Name}}").contains("unexpected EOF"));
        assert!(error("{{end}}").contains("unexpected {{end}}"));
        assert!(error("{{index .Config.Env 9}}").contains("out of range"));
        assert!(error("{{json}}").contains("wrong number of args"));
        assert!(error("{{.Name").contains("unclosed action"));
        assert!(error(&"{{if 1}}".repeat(500)).contains("too many blocks"));
    }

    #[test]
    fn labels_of_lists() {
        let (root, labels) = (json!({"ID": "1"}), json!({"a": "b"}));
        let data = Data { root: &root, labels: Some(&labels) };
        let text = |t: &str| Template::new(t).unwrap().render_with(data).unwrap();
        assert_eq!(text(r#"{{.ID}}{{.Label "a"}}{{.Label "z"}}"#), "1b");
    }
}
