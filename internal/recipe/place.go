package recipe

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// Place is where an input may be fetched: an https URL, or a path below a
// registry that each centre chooses for itself.
type Place struct {
	Registry Registry
	Path     string // below the registry; of [Web] the whole URL
}

// Registry names a kind of registry.
type Registry string

// The registries. A recipe says "goproxy:golang.org/x/mod/@v/v0.42.0.zip"; which
// module proxy that is, is for the machine that fetches.
const (
	Web     Registry = "https"
	GoProxy Registry = "goproxy" // a module proxy: GOPROXY
	Debian  Registry = "debian"  // a Debian mirror; paths begin with pool/ or dists/
	NPM     Registry = "npm"     // an npm registry
)

// maxPlace bounds the text of a place.
const maxPlace = 2048

// ParsePlace reads a place.
func ParsePlace(s string) (Place, error) {
	kind, rest, ok := strings.Cut(s, ":")
	if len(s) > maxPlace || !ok || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Place{}, errPlace(s)
	}
	switch Registry(kind) {
	case Web:
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
			return Place{}, fmt.Errorf("%.80q is not an https URL without user and fragment", s)
		}
		return Place{Web, s}, nil
	case GoProxy, Debian, NPM:
		if rest == "" || path.IsAbs(rest) || path.Clean(rest) != rest || strings.HasPrefix(rest, "..") || strings.ContainsAny(rest, "?#\\") {
			return Place{}, fmt.Errorf("%.80q: want a clean path below the registry", s)
		}
		return Place{Registry(kind), rest}, nil
	}
	return Place{}, errPlace(s)
}

func errPlace(s string) error {
	return fmt.Errorf("%.80q: want https://…, goproxy:PATH, debian:PATH or npm:PATH", s)
}

// String writes the place as a recipe does.
func (p Place) String() string {
	if p.Registry == Web {
		return p.Path
	}
	return string(p.Registry) + ":" + p.Path
}

// errNoRegistry says that this machine knows no such registry.
var errNoRegistry = errors.New("no such registry is configured here")
