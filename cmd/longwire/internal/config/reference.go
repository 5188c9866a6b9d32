package config

import _ "embed"

// Reference is a valid configuration with every key, commented.
//
//go:embed reference.yaml
var Reference string
