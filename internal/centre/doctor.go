package centre

import "context"

// Finding is one line of `vitrine doctor`.
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// Doctor examines a node's directory: configuration, key files and their modes,
// clock, disk space, database, log, content, listeners. It changes nothing.
func Doctor(ctx context.Context, dir string) []Finding { return nil }
