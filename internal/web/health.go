package web

import (
	"encoding/json"
	"net/http"
	"strings"
)

// healthz answers as long as the process serves at all.
func (s *site) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	send(w, "text/plain; charset=utf-8", []byte("ok\n"))
}

// readyz answers 503 and says why while the node cannot do its work. Logs
// that have forked are named and keep the node from nothing: its pages are where
// people read of it.
func (s *site) readyz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if reasons := s.Ready(r.Context()); len(reasons) > 0 {
		sendStatus(w, http.StatusServiceUnavailable, "text/plain; charset=utf-8", []byte(strings.Join(reasons, "\n")+"\n"))
		return
	}
	lines := append([]string{"ready"}, s.forkLines(r.Context())...)
	send(w, "text/plain; charset=utf-8", []byte(strings.Join(lines, "\n")+"\n"))
}

// nodeJSON serves the node's description (docs/spec/node.md).
func (s *site) nodeJSON(w http.ResponseWriter, r *http.Request) {
	b, err := json.MarshalIndent(s.info(), "", "  ")
	if err != nil {
		code, text := s.fail(r, err)
		problem(w, code, text)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	send(w, "application/json", append(b, '\n'))
}
