package ledger

import (
	"errors"
	"io"
	"net/http"
	"strconv"
)

// AddHandler serves POST /add: a raw entry in, its decimal index out, once it is
// published. It checks nothing and belongs on a loopback listener that an
// operator asked for.
//
// It answers 413 to an entry that is too large, 429 when too many are waiting,
// 503 while the log closes or cannot publish; the last two say when to come
// back.
func (l *Ledger) AddHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", noStore)
		if r.URL.Path != "/add" {
			http.Error(w, "only /add", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", "POST")
			http.Error(w, "only POST", http.StatusMethodNotAllowed)
			return
		}
		leaf, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxEntry))
		if err != nil {
			addFailed(w, err)
			return
		}
		e, err := l.Add(r.Context(), leaf)
		if err != nil {
			addFailed(w, err)
			return
		}
		reply(w, strconv.AppendInt(nil, e.Index, 10), plain, noStore)
	})
}

func addFailed(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge, errors.Is(err, ErrTooLarge):
		status, err = http.StatusRequestEntityTooLarge, ErrTooLarge
	case errors.Is(err, ErrBusy):
		status = http.StatusTooManyRequests
	case errors.Is(err, ErrClosed), errors.Is(err, ErrUnpublished):
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, err.Error(), status)
}
