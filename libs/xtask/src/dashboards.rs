//! Grafana dashboards, generated from one TOML file each. `xtask tidy` checks that their metrics are recorded.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::tree::Error;

const FILES: [(&str, &str); 5] = [
    ("overview", include_str!("dashboards/overview.toml")),
    ("rpc", include_str!("dashboards/rpc.toml")),
    ("contests", include_str!("dashboards/contests.toml")),
    ("judging", include_str!("dashboards/judging.toml")),
    ("engines", include_str!("dashboards/engines.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dashboard {
    title: String,
    /// From the top.
    row: Vec<Row>,
}

/// Panels side by side under one heading.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    panel: Vec<Panel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    title: String,
    /// The description: what the graph shows, and the normal range.
    about: String,
    /// Grafana's name of the unit (`s`, `ops`, `bytes`, `percentunit`, `short`).
    unit: String,
    /// Whether exemplar traces are shown as points.
    #[serde(default)]
    exemplars: bool,
    /// PromQL and legend of each query. In the PromQL every `{…}` also selects the processes chosen in Grafana, and
    /// `[]` is the interval of a rate.
    lines: Vec<(String, String)>,
}

/// Width of a page in Grafana's grid.
const COLUMNS: usize = 24;
const HEIGHT: usize = 8;

pub fn all() -> Result<Vec<(&'static str, String)>, Error> {
    let render = |(name, text)| -> Result<_, Error> {
        Ok((name, toml::from_str::<Dashboard>(text)?.render(name)))
    };
    FILES.into_iter().map(render).collect()
}

impl Dashboard {
    fn render(&self, name: &str) -> String {
        let (mut panels, mut top) = (Vec::new(), 0);
        for row in &self.row {
            let position = json!({"h": 1, "w": COLUMNS, "x": 0, "y": top});
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": row.title, "gridPos": position,
                "collapsed": false, "panels": [],
            }));
            top += 1;
            let width = COLUMNS / row.panel.len().max(1);
            for (at, panel) in row.panel.iter().enumerate() {
                let position = json!({"h": HEIGHT, "w": width, "x": at * width, "y": top});
                panels.push(panel.render(panels.len() + 1, &position));
            }
            top += HEIGHT;
        }
        let dashboard = json!({
            "uid": format!("agon-{name}"),
            "title": format!("Agon: {}", self.title),
            "tags": ["agon"],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [{
                "type": "dashboards", "tags": ["agon"], "title": "Agon", "asDropdown": true,
                "includeVars": true, "keepTime": true,
            }],
            "templating": {"list": [instances()]},
            "panels": panels,
        });
        format!("{dashboard:#}\n")
    }
}

/// The selector of processes above every dashboard.
fn instances() -> Value {
    json!({
        "name": "instance", "label": "Process", "type": "query", "multi": true,
        "includeAll": true, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
        "datasource": source(), "refresh": 2, "sort": 1,
        "query": {"query": "label_values(agon_build_info, instance)", "refId": "instances"},
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "prometheus"})
}

impl Panel {
    fn render(&self, id: usize, position: &Value) -> Value {
        let targets: Vec<Value> =
            self.lines.iter().zip('A'..='Z').map(|(line, id)| self.target(line, id)).collect();
        json!({
            "id": id,
            "type": "timeseries",
            "title": self.title,
            "description": self.about,
            "gridPos": position,
            "datasource": source(),
            "targets": targets,
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit, "min": 0,
                    "custom": {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"},
                },
                "overrides": [],
            },
            "options": {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
        })
    }

    fn target(&self, (query, legend): &(String, String), id: char) -> Value {
        let query = query.replace('{', r#"{instance=~"$instance","#).replace(",}", "}");
        json!({
            "refId": id.to_string(),
            "datasource": source(),
            "expr": query.replace("[]", "[$__rate_interval]"),
            "legendFormat": legend,
            "exemplar": self.exemplars,
            "range": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_do_not_overlap() {
        for (name, json) in all().unwrap() {
            let json: Value = serde_json::from_str(&json).unwrap();
            let panels = json["panels"].as_array().unwrap();
            let mut positions: Vec<_> =
                panels.iter().map(|panel| panel["gridPos"].to_string()).collect();
            positions.sort();
            positions.dedup();
            assert_eq!(positions.len(), panels.len(), "{name}");
            assert!(panels.iter().all(|panel| panel["gridPos"]["w"].as_u64().unwrap() >= 6));
        }
    }
}
