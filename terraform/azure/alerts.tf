# The six alarms as alert rules of Azure Monitor, of the records in the function's log and of the instances' (monitoring/azure, docs/metrics.md).

locals {
  # Where each kind of records is; none: no rule.
  alert_scopes = { scaler = var.application_insights_id, agents = var.agents_workspace_id }
  alerts = {
    for alert in jsondecode(templatefile("${path.module}/../../monitoring/azure/alerts.json", {
      pool  = local.scale_set_id
      group = local.resource_group
      app   = "${var.name}-scaler"
      table = local.records_table
    })) : alert.name => alert if local.alert_scopes[alert.source] != ""
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "pool" {
  for_each = local.alerts

  name                    = "${each.key}-${var.name}"
  resource_group_name     = local.resource_group
  location                = var.location
  display_name            = "${each.key} of ${var.name}"
  description             = each.value.description
  severity                = each.value.severity
  scopes                  = [local.alert_scopes[each.value.source]]
  evaluation_frequency    = "PT5M"
  window_duration         = "PT${each.value.minutes}M"
  auto_mitigation_enabled = true
  # Azure knows neither traces nor a new table before the first record is in it.
  skip_query_validation = true
  tags                  = var.tags

  # Each row is something bad.
  criteria {
    query                   = each.value.query
    time_aggregation_method = "Count"
    operator                = "GreaterThan"
    threshold               = 0
    failing_periods {
      minimum_failing_periods_to_trigger_alert = 1
      number_of_evaluation_periods             = 1
    }
  }

  dynamic "action" {
    for_each = length(var.alert_action_groups) > 0 ? [1] : []
    content {
      action_groups = var.alert_action_groups
    }
  }
}
