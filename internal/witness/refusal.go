package witness

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"vitrine.example/tlog"
)

// refusal is what a request is answered with that is not served.
type refusal struct {
	status int
	text   string
	size   int64         // for 409
	retry  time.Duration // 0: not said
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// conflict is the answer to an old size that is not the latest.
func conflict(size int64) error {
	return &refusal{status: http.StatusConflict, size: size, text: "the old size is not that of the latest cosigned checkpoint"}
}

// later asks to come again.
func later(status int, after time.Duration, format string, args ...any) error {
	return &refusal{status: status, retry: max(after, time.Second), text: fmt.Sprintf(format, args...)}
}

func (r *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	if r.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((r.retry+time.Second-1)/time.Second), 10))
	}
	if r.status != http.StatusConflict {
		http.Error(w, r.text, r.status)
		return
	}
	// "The response MUST have a Content-Type of text/x.tlog.size."
	h.Set("Content-Type", tlog.SizeType)
	w.WriteHeader(r.status)
	_, _ = w.Write(tlog.FormatSize(r.size))
}
