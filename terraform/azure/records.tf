# The instances' records in Log Analytics: a table, the rule that leads into it, and the endpoint where each agent hands its records in, its last one
# before it deletes the machine (docs/records.md).

locals {
  records = var.agents_workspace_id == "" ? 0 : 1
  # Of each pool its own, since one workspace may have several.
  records_table   = "Lightsout_${replace(var.name, "-", "_")}_CL"
  records_columns = { TimeGenerated = "datetime", Instance = "string", Record = "dynamic" }
  # Known before it is made, as the role wants it.
  records_rule_id = "${var.resource_group_id}/providers/Microsoft.Insights/dataCollectionRules/${var.name}-records"
  records_files = [
    for rule in azurerm_monitor_data_collection_rule.records : {
      path        = "/etc/lightsout/agent.d/40-records.toml"
      permissions = "0600"
      content     = "[records]\nlog_analytics = \"${azurerm_monitor_data_collection_endpoint.records[0].logs_ingestion_endpoint}/dataCollectionRules/${rule.immutable_id}/streams/Custom-${local.records_table}\"\n"
    }
  ]
}

resource "azurerm_log_analytics_workspace_table_custom_log" "records" {
  count        = local.records
  name         = local.records_table
  workspace_id = var.agents_workspace_id
  description  = "lightsout: what instances did and why"

  dynamic "column" {
    for_each = local.records_columns
    content {
      name = column.key
      type = column.value
    }
  }
}

# The provider makes no rule of kind Direct, which has an endpoint of its own (hashicorp/terraform-provider-azurerm#28697).
resource "azurerm_monitor_data_collection_endpoint" "records" {
  count               = local.records
  name                = "${var.name}-records"
  resource_group_name = local.resource_group
  location            = var.location
  tags                = var.tags
}

resource "azurerm_monitor_data_collection_rule" "records" {
  count                       = local.records
  name                        = "${var.name}-records"
  resource_group_name         = local.resource_group
  location                    = var.location
  data_collection_endpoint_id = azurerm_monitor_data_collection_endpoint.records[0].id
  tags                        = var.tags

  stream_declaration {
    stream_name = "Custom-${local.records_table}"
    dynamic "column" {
      for_each = local.records_columns
      content {
        name = column.key
        type = column.value
      }
    }
  }

  destinations {
    log_analytics {
      name                  = "workspace"
      workspace_resource_id = var.agents_workspace_id
    }
  }

  data_flow {
    streams       = ["Custom-${local.records_table}"]
    destinations  = ["workspace"]
    transform_kql = "source"
    output_stream = "Custom-${local.records_table}"
  }

  # Azure refuses a rule that leads into a table which is not there.
  depends_on = [azurerm_log_analytics_workspace_table_custom_log.records]
}

resource "azurerm_role_assignment" "agent_records" {
  count                = local.records
  scope                = local.records_rule_id
  role_definition_name = "Monitoring Metrics Publisher"
  principal_id         = azurerm_user_assigned_identity.agent.principal_id
  principal_type       = "ServicePrincipal"
  # Which is named above by its id.
  depends_on = [azurerm_monitor_data_collection_rule.records]
}
