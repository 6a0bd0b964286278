package web

import (
	"net/http"
	"strings"
)

// mount puts the handlers of Options.Mounts before the rest of the site. They see
// paths without their prefix, take requests with bodies, and set their own time
// limits (http.ResponseController); until then those of [NewServer] hold. Rates
// of clients and limits of connections and headers are the site's.
func mount(mounts map[string]http.Handler, next http.Handler) http.Handler {
	if len(mounts) == 0 {
		return next
	}
	inner := map[string]http.Handler{}
	for prefix, h := range mounts {
		inner[prefix] = shared(http.StripPrefix(strings.TrimSuffix(prefix, "/"), h))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefix := mountOf(inner, r.URL.Path)
		if prefix == "" {
			next.ServeHTTP(w, r)
			return
		}
		if len(r.URL.Path)+len(r.URL.RawQuery) > maxURL {
			problem(w, http.StatusRequestURITooLong, "this address is too long")
			return
		}
		r.Pattern = prefix // for metrics
		inner[prefix].ServeHTTP(w, r)
	})
}

// mountOf returns the prefix that a path belongs to, the longest of several.
func mountOf(mounts map[string]http.Handler, path string) string {
	best := ""
	for prefix := range mounts {
		if strings.HasPrefix(path, prefix) && len(prefix) > len(best) {
			best = prefix
		}
	}
	return best
}
