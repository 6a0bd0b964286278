package recipe

import (
	"context"
	"encoding/json"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Registries are the registries of this machine: base URLs, tried in their
// order. A module proxy may be a file:// URL.
type Registries map[Registry][]string

// DebianEnv is the environment variable with Debian mirrors, separated by
// spaces. Without it those of apt are taken.
const DebianEnv = "VITRINE_DEBIAN_MIRROR"

// Configured asks the environment, and then the registries' own programs, what
// is configured on this machine for the registries that are wanted: GOPROXY,
// npm_config_registry and apt's sources. The module cache of the machine is the
// first of the module proxies.
func Configured(ctx context.Context, getenv func(string) string, want ...Registry) Registries {
	r := Registries{}
	for _, w := range want {
		switch w {
		case GoProxy:
			r[w] = goProxies(ctx, getenv)
		case NPM:
			r[w] = npmRegistries(ctx, getenv)
		case Debian:
			r[w] = debianMirrors(ctx, getenv)
		}
	}
	return r
}

// Uses lists the registries that the recipe names.
func (r *Recipe) Uses() []Registry {
	var out []Registry
	for _, in := range r.Inputs {
		for _, from := range in.From {
			if p, err := ParsePlace(from); err == nil && p.Registry != Web && !slices.Contains(out, p.Registry) {
				out = append(out, p.Registry)
			}
		}
	}
	return out
}

// ask runs a program and returns what it prints, "" where it cannot.
func ask(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func goProxies(ctx context.Context, getenv func(string) string) []string {
	var env struct{ GOPROXY, GOMODCACHE string }
	if err := json.Unmarshal([]byte(ask(ctx, "go", "env", "-json", "GOPROXY", "GOMODCACHE")), &env); err != nil {
		env.GOMODCACHE = getenv("GOMODCACHE")
	}
	if s := getenv("GOPROXY"); s != "" {
		env.GOPROXY = s
	}
	var out []string
	if filepath.IsAbs(env.GOMODCACHE) {
		out = append(out, (&url.URL{Scheme: "file", Path: filepath.Join(env.GOMODCACHE, "cache", "download")}).String())
	}
	for _, s := range strings.FieldsFunc(env.GOPROXY, func(r rune) bool { return r == ',' || r == '|' }) {
		if s = strings.TrimSpace(s); s != "direct" && s != "off" {
			out = append(out, s)
		}
	}
	return out
}

func npmRegistries(ctx context.Context, getenv func(string) string) []string {
	for _, name := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if s := getenv(name); s != "" {
			return []string{s}
		}
	}
	if s := ask(ctx, "npm", "config", "get", "registry"); strings.HasPrefix(s, "http") {
		return []string{s}
	}
	return nil
}

func debianMirrors(ctx context.Context, getenv func(string) string) []string {
	if s := getenv(DebianEnv); s != "" {
		return strings.Fields(s)
	}
	var out []string
	for s := range strings.FieldsSeq(ask(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian")) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// URLs lists where a place is on this machine.
func (r Registries) URLs(p Place) []string {
	if p.Registry == Web {
		return []string{p.Path}
	}
	var out []string
	for _, base := range r[p.Registry] {
		out = append(out, strings.TrimSuffix(base, "/")+"/"+escape(p.Path))
	}
	return out
}

// escape writes a path as a URL has it; what a registry's path has in escaped
// form already ("!" of module paths, "%2f" of npm's scopes) stays.
func escape(path string) string {
	return strings.NewReplacer(" ", "%20", "+", "%2B").Replace(path)
}
