package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"k8s.io/klog/v2"
)

// complaint is the newest warning of Tessera in this process.
var complaint atomic.Pointer[string]

// lastComplaint returns it as an error, for those who ask why nothing happens.
func lastComplaint() error {
	if s := complaint.Load(); s != nil {
		return errors.New(*s)
	}
	return nil
}

var quietOnce sync.Once

// quietTessera sends what Tessera writes to klog, which is one for the whole
// process and goes to standard error, to a logger: complaints as warnings and
// the rest as debug messages. klog's flags are not registered.
func quietTessera(to *slog.Logger) {
	quietOnce.Do(func() { klog.SetSlogLogger(slog.New(complaints{to.Handler()})) })
}

// complaints is a handler that remembers complaints.
type complaints struct{ slog.Handler }

// demoted is the level of klog's informational messages.
const demoted = slog.LevelDebug

// Enabled implements slog.Handler.
func (h complaints) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || h.Handler.Enabled(ctx, demoted)
}

// Handle implements slog.Handler.
func (h complaints) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		s := r.Message
		complaint.Store(&s)
		r.Level = slog.LevelWarn
	} else {
		r.Level = demoted
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h complaints) WithAttrs(as []slog.Attr) slog.Handler {
	return complaints{h.Handler.WithAttrs(as)}
}

// WithGroup implements slog.Handler.
func (h complaints) WithGroup(name string) slog.Handler { return complaints{h.Handler.WithGroup(name)} }
