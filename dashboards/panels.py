"""The few kinds of panels there are, and what they have in common."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard, logs, loki, stat, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    VariableRefresh,
    VariableSort,
)

from dashboards.queries import ALIVE, lines

LOKI = common.DataSourceRef(type_val="loki", uid="loki")
HEIGHT = 8
NUMBERS = {"seconds", "waited", "task", "attempt", "failures"}  # Loki has text only
JOB_LINK = "/d/essaim-job?var-job=${__value.text}&${__url_time_range}"


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """A dashboard that leads to the others, at the same time."""
    others = (
        dashboard.DashboardLink("Essaim")
        .type(DashboardLinkType.DASHBOARDS)
        .tags(["essaim"])
        .keep_time(True)
        .placement("")
    )
    return (
        dashboard.Dashboard(title)
        .uid(f"essaim-{uid}")
        .description(description)
        .tags(["essaim"])
        .link(others)
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
    )


def release(name: str, label: str) -> dashboard.QueryVariable:
    """A choice among the releases whose API or workers have logged something."""
    query = {"label": "service_version", "refId": name, "stream": lines(), "type": 1}
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(LOKI)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def plot(
    title: str, series: Mapping[str, str], *, unit: str = "short", width: int = 12, about: str = ""
) -> timeseries.Panel:
    """Lines over time: a query for each legend, which may name labels as `{{label}}`."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(LOKI)
        .unit(unit)
        .min(0)
        .span(width)
        .height(HEIGHT)
        .interval(ALIVE)  # at least: in less, an idle worker says nothing
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .line_width(2)
        .fill_opacity(8)
        .show_points(common.VisibilityMode.AUTO)
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .legend(
            common_builders.VizLegendOptions()
            .show_legend(True)
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
        )
    )
    for ref, (legend, query) in zip("ABCDEFGH", series.items(), strict=False):
        panel.with_target(loki.Dataquery().expr(query).legend_format(legend).query_type("range").ref_id(ref))
    return panel


def bars(title: str, series: Mapping[str, str], *, width: int = 12, about: str = "") -> timeseries.Panel:
    """What happened how often between two points."""
    stacking = common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
    drawn = plot(title, series, width=width, about=about).draw_style(common.GraphDrawStyle.BARS)
    return drawn.fill_opacity(60).line_width(0).stacking(stacking)


def number(title: str, query: str, *, unit: str = "short", width: int = 4, none: str = "–") -> stat.Panel:
    """One number for the whole time that is shown."""
    return (
        stat.Panel()
        .title(title)
        .datasource(LOKI)
        .unit(unit)
        .no_value(none)
        .span(width)
        .height(4)
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.NONE)
        .with_target(loki.Dataquery().expr(query).query_type("instant").ref_id("A"))
    )


def story(title: str, query: str, *, width: int = 24, height: int = 12, newest_first: bool = True) -> logs.Panel:
    order = common.LogsSortOrder.DESCENDING if newest_first else common.LogsSortOrder.ASCENDING
    return (
        logs.Panel()
        .title(title)
        .datasource(LOKI)
        .span(width)
        .height(height)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .sort_order(order)
        .dedup_strategy(common.LogsDedupStrategy.NONE)
        .with_target(loki.Dataquery().expr(query).query_type("range").max_lines(1000).ref_id("A"))
    )


def rows(title: str, query: str, columns: Sequence[str], *, width: int = 24, height: int = 10) -> table.Panel:
    """Log lines as a table of these fields, oldest first; what is a job leads to its dashboard."""
    wanted = ["Time", *columns]
    numbers = [{"targetField": name, "destinationType": "number"} for name in columns if name in NUMBERS]
    panel = (
        table.Panel()
        .title(title)
        .datasource(LOKI)
        .span(width)
        .height(height)
        .with_target(loki.Dataquery().expr(query).query_type("range").max_lines(1000).ref_id("A"))
        .with_transformation(DataTransformerConfig("extractFields", options={"source": "labels", "replace": False}))
        .with_transformation(DataTransformerConfig("convertFieldType", options={"conversions": numbers}))
        .with_transformation(
            DataTransformerConfig(
                "organize",
                options={
                    "includeByName": dict.fromkeys(wanted, True),
                    "indexByName": {name: at for at, name in enumerate(wanted)},
                },
            )
        )
        .sort_by([common_builders.TableSortByFieldState().display_name("Time").desc(False)])
        .override_by_name("seconds", [DynamicConfigValue("unit", "s")])
        .override_by_name("waited", [DynamicConfigValue("unit", "s")])
    )
    link = {"title": "This job", "url": JOB_LINK}
    return panel.override_by_name("job", [DynamicConfigValue("links", [link])])


def annotation(
    name: str, query: str, color: str, title: str = "{{k8s_event_reason}} {{k8s_object_name}}"
) -> dashboard.AnnotationQuery:
    """Log lines as marks on every plot."""
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .placement("")
        .datasource(LOKI)
        .enable(True)
        .icon_color(color)
        .expr(query)
        .title_format(title)
        .target(loki.Dataquery().expr(query).query_type("range").max_lines(200).ref_id("Anno"))
    )
