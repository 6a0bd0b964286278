package ledger

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"
)

// said is a complaint of Tessera.
type said struct {
	what string
	at   time.Time
}

// complaint is the newest one in this process.
var complaint atomic.Pointer[said]

// recent is how old a complaint may be to count as the reason of a trouble.
const recent = 10 * time.Second

// lastComplaint returns it as an error, for those who ask why nothing happens.
func lastComplaint() error {
	if s := complaint.Load(); s != nil && time.Since(s.at) < recent {
		return errors.New(s.what)
	}
	return nil
}

var quietOnce sync.Once

// quietTessera sends what Tessera writes to klog, which is one for the whole
// process and goes to standard error, to a logger: complaints as warnings and
// the rest as debug messages. klog's flags are not registered. Of several logs
// in one process the first one's logger gets it all.
func quietTessera(to *slog.Logger) {
	quietOnce.Do(func() {
		// As a logger klog would get warnings and other messages alike; in
		// its own lines the first letter tells them apart.
		klog.SetLoggerWithOptions(klog.Logger{}, klog.WriteKlogBuffer(func(line []byte) { relay(to, line) }))
	})
}

// relay passes on a line of klog: "W0102 15:04:05.067890 1 file.go:5] message".
func relay(to *slog.Logger, line []byte) {
	_, message, ok := bytes.Cut(bytes.TrimSpace(line), []byte("] "))
	if !ok || len(message) == 0 {
		return
	}
	if line[0] == 'I' {
		to.DebugContext(context.Background(), string(message), "by", "tessera")
		return
	}
	complaint.Store(&said{string(message), time.Now()})
	to.WarnContext(context.Background(), string(message), "by", "tessera")
}
