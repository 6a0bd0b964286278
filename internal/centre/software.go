package centre

import (
	"io"
	"log/slog"
)

// Version is the version of this program. It stands in the source, not in the
// linker's flags, so that every way of building the same source tells the same.
const Version = "0.1.0-dev"

// software is name and version of the program, for strangers.
func software() string { return "vitrine " + Version }

// logger returns the logger that the configuration asks for.
func (c *Config) logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
