output "scale_set_id" {
  value       = local.scale_set_id
  description = "The scale set: what `group` of a pool is."
}

output "function_app_name" {
  value       = azurerm_function_app_flex_consumption.scaler.name
  description = "The scaler's function app."
}

output "agent_principal_id" {
  value       = azurerm_user_assigned_identity.agent.principal_id
  description = "Who instances are, for more roles."
}

output "agent_identity_id" {
  value       = azurerm_user_assigned_identity.agent.id
  description = "The same by its id: what a scale set of your own gives its instances."
}

output "agent_client_id" {
  value       = azurerm_user_assigned_identity.agent.client_id
  description = "The same as AZURE_CLIENT_ID of the agent's unit and the dead-man's switch's, where a scale set of your own gives its instances several identities."
}

output "agent_custom_data" {
  value       = base64encode(local.custom_data)
  description = "Custom data, as a scale set takes them, by which cloud-init writes `agent_settings` on new instances of a scale set of your own."
}

output "deploy" {
  value       = "az functionapp deployment source config-zip --resource-group ${local.resource_group} --name ${azurerm_function_app_flex_consumption.scaler.name} --src dist/lightsout-scaler-functions.zip"
  description = "What deploys the scaler's package, which packer/build has made: after the first apply, and for each new version."
}

output "webhook_url" {
  value       = var.webhooks ? "https://${azurerm_function_app_flex_consumption.scaler.default_hostname}/hooks/" : ""
  description = "Where the CI platform sends webhooks, with the pool's `webhook.path` behind it, which is its name without one; empty without `webhooks`."
}

output "scaler_principal_id" {
  value       = azurerm_user_assigned_identity.scaler.principal_id
  description = "Who the scaler is, for more roles."
}

output "role_names" {
  value       = concat([azurerm_role_definition.agent.name, azurerm_role_definition.scaler.name], [for role in azurerm_role_definition.scaler_uses : role.name])
  description = "The roles that the module makes, by the names that they have in the tenant."
}
