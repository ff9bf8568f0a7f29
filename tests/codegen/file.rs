//! A golden file: comments, directives, sections.

/// `=== name arguments`, and the text up to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    pub name: String,
    pub arguments: Vec<(String, String)>,
    pub body: String,
}

/// The parts of a golden file, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenFile {
    /// Comments and directives as written.
    pub header: String,
    /// `#! tables = [...]`
    pub tables: Vec<String>,
    /// `#! data = ["fixtures/sales"]`: folders whose files and folders become tables.
    pub data: Vec<String>,
    /// `#! set = { key = value }`
    pub settings: Vec<(String, String)>,
    /// `#! expect = [...]`: optimizer rules that must change the plan.
    pub expect: Vec<String>,
    pub sections: Vec<Section>,
}

impl GoldenFile {
    pub fn parse(text: &str) -> Result<Self, String> {
        let start = text.find("=== ").ok_or("there is no section")?;
        let header = text[..start].to_string();
        let mut file = GoldenFile { tables: vec![], data: vec![], settings: vec![], expect: vec![], sections: vec![], header };
        for line in file.header.clone().lines().filter_map(|l| l.strip_prefix("#!")) {
            let (key, value) = line.split_once('=').ok_or_else(|| format!("not a directive: {line}"))?;
            match key.trim() {
                "tables" => file.tables = strings(value),
                "data" => file.data = strings(value),
                "expect" => file.expect = strings(value),
                "set" => file.settings = pairs(value)?,
                other => return Err(format!("unknown directive {other}")),
            }
        }
        for part in text[start..].split("\n=== ") {
            let part = part.strip_prefix("=== ").unwrap_or(part);
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            let mut words = head.split_whitespace();
            let name = words.next().ok_or("a section without a name")?.to_string();
            let arguments = words.filter_map(|w| w.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string())).collect();
            file.sections.push(Section { name, arguments, body: body.trim_end().to_string() });
        }
        Ok(file)
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    pub fn to_text(&self) -> String {
        let mut out = self.header.clone();
        for s in &self.sections {
            out.push_str("=== ");
            out.push_str(&s.name);
            for (k, v) in &s.arguments {
                out.push_str(&format!(" {k}={v}"));
            }
            out.push('\n');
            out.push_str(&s.body);
            out.push('\n');
        }
        out
    }
}

/// The quoted words of a list.
fn strings(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

/// `{ "a.b" = 2, c = "x" }`
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let inner = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or("settings stand in braces")?;
    let unquote = |t: &str| t.trim().trim_matches('"').to_string();
    inner
        .split(',')
        .filter(|p| !p.trim().is_empty())
        .map(|p| p.split_once('=').map(|(k, v)| (unquote(k), unquote(v))).ok_or_else(|| format!("not a setting: {p}")))
        .collect()
}
