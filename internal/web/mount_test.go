package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What is mounted takes bodies and sees its own paths; everything else stays
// read-only, also what only resembles a mount.
func TestMount(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(r.Method + " " + r.URL.Path + " " + string(b)))
	})
	h := mount(map[string]http.Handler{"/a/": echo, "/a/b/": http.NotFoundHandler()}, readOnly(http.NotFoundHandler()))
	for path, want := range map[string]string{
		"/a/": "POST / body", "/a/x": "POST /x body", "/a/b/x": "404 page", "/a": "only be read", "/ab/": "only be read", "/": "only be read",
		"/a/" + strings.Repeat("x", maxURL): "too long",
	} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, strings.NewReader("body")))
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%.20s: %q, want %q", path, rec.Body, want)
		}
	}
}
