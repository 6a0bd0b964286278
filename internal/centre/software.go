package centre

import (
	"io"
	"log/slog"
	"runtime/debug"
)

// software returns name and version of the program, as its build says.
func software() string {
	b, ok := debug.ReadBuildInfo()
	if !ok || b.Main.Version == "" || b.Main.Version == "(devel)" {
		return "vitrine"
	}
	return "vitrine " + b.Main.Version
}

// logger returns the logger that the configuration asks for.
func (c *Config) logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
