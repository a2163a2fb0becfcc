# A stack whose runs come to this pool, in your Spacelift administration:
#
# resource "spacelift_stack" "network" {
#   name           = "network"
#   repository     = "network"
#   branch         = "main"
#   worker_pool_id = "01HYYYYYYYYYYYYYYYYYYYYYYY"
# }
