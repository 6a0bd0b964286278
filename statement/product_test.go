package statement_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"vitrine.example/statement"
)

// canonicalProduct is a second implementation of what release-v1.md says of
// `product`, from the text alone.
func canonicalProduct(s string) bool {
	const text = `(?:[A-Za-z0-9._~:-]|%[0-9A-F]{2})+`
	parts := regexp.MustCompile(`^pkg:([a-z][a-z0-9.+-]*)/((?:` + text + `/)*)(` + text + `)(?:\?([^#]+))?(?:#(.+))?$`).FindStringSubmatch(s)
	if parts == nil || len(s) > 1024 {
		return false
	}
	typ, namespace, name, query, subpath := parts[1], strings.TrimSuffix(parts[2], "/"), parts[3], parts[4], parts[5]
	for _, part := range []string{namespace, name, query, subpath} {
		// What need not be encoded is not.
		for _, code := range regexp.MustCompile(`%[0-9A-F]{2}`).FindAllString(part, -1) {
			if b, _ := url.PathUnescape(code); regexp.MustCompile(`^[A-Za-z0-9._~:-]$`).MatchString(b) {
				return false
			}
		}
	}
	if strings.Contains(namespace, "%2F") || strings.Contains(subpath, "%2F") {
		return false
	}
	var keys []string
	for _, q := range strings.Split(query, "&") {
		if query == "" {
			break
		}
		m := regexp.MustCompile(`^([a-z._-][a-z0-9._-]*)=` + text + `$`).FindStringSubmatch(q)
		if m == nil || len(keys) > 0 && keys[len(keys)-1] >= m[1] {
			return false
		}
		keys = append(keys, m[1])
	}
	for _, segment := range strings.Split(subpath, "/") {
		if subpath != "" && (segment == "." || segment == ".." || !regexp.MustCompile(`^`+text+`$`).MatchString(segment)) {
			return false
		}
	}
	return typeRules(typ, namespace, name, query, keys)
}

func typeRules(typ, namespace, name, query string, keys []string) bool {
	ns, _ := url.PathUnescape(namespace)
	n, _ := url.PathUnescape(name)
	lower := func(s string) bool { return utf8.ValidString(s) && strings.ToLower(s) == s }
	switch typ {
	case "alpm", "apk", "bitbucket", "brew", "composer", "deb", "github", "golang":
		return lower(ns) && lower(n)
	case "rpm", "qpkg":
		return lower(ns)
	case "bitnami":
		return lower(n)
	case "pypi":
		return lower(n) && !strings.Contains(n, "_")
	case "mlflow":
		i := slices.Index(keys, "repository_url")
		if i < 0 {
			return true
		}
		_, repo, _ := strings.Cut(strings.Split(query, "&")[i], "=")
		repo, _ = url.PathUnescape(repo)
		return !strings.Contains(repo, "databricks") || lower(n)
	case "cpan":
		return utf8.ValidString(ns) && strings.ToUpper(ns) == ns && !strings.Contains(n, "::")
	case "chrome-extension":
		return ns == "" && regexp.MustCompile(`^[a-z]{32}$`).MatchString(n)
	case "julia":
		return ns == "" && slices.Contains(keys, "uuid")
	case "otp", "vcpkg":
		return ns == ""
	case "swift", "vscode-extension":
		return ns != ""
	}
	return true
}

// What is canonical is what the specification says, whatever the library that
// helps thinks of it.
func TestProductsAreThoseOfTheSpecification(t *testing.T) {
	compare := func(t interface{ Errorf(string, ...any) }, s string) {
		if err, want := statement.CheckProduct(s), canonicalProduct(s); (err == nil) != want {
			t.Errorf("%q: %v, and by the specification canonical is %v", s, err, want)
		}
	}
	for _, s := range []string{
		"pkg:generic/a", "pkg:.x/a", "pkg:-x/a", "pkg:+x/a", "pkg:x+.-1/a", "pkg:1x/a", "pkg:generic/a#..", "pkg:generic/a#../b", "pkg:generic/a#b/..",
		"pkg:generic/a#b//c", "pkg:generic/a#b/c", "pkg:generic/a%2Fb", "pkg:generic/a%2Fb/c", "pkg:generic/a#b%2Fc", "pkg:generic/a?b=%2F", "pkg:generic/a?b=/",
		"pkg:generic/a?b=c:d", "pkg:generic/a?b=c%3Ad", "pkg:generic/a?", "pkg:generic/a#", "pkg:generic/a?b", "pkg:generic/a?b=", "pkg:generic/a?b=c&b=d",
		"pkg:generic/a?b=c&a=d", "pkg:generic/a?.b=c", "pkg:generic/a?1b=c", "pkg:generic/%FF", "pkg:github/%FF/a", "pkg:github/a/%C3%89", "pkg:github/a/%C3%A9",
		"pkg:generic/a%ff", "pkg:generic/a%00", "pkg:generic/a%40b", "pkg:npm/@a/b", "pkg:npm/%40a/b", "pkg:mlflow/A?repository_url=https:%2F%2Fx.databricks.com",
		"pkg:mlflow/A?repository_url=x", "pkg:mlflow/A", "pkg:cpan/a/b", "pkg:cpan/A/b", "pkg:cpan/A/b::c", "pkg:cpan/b:c", "pkg:julia/a", "pkg:julia/a?uuid=1",
		"pkg:julia/a/b?uuid=1", "pkg:swift/a", "pkg:swift/a/b", "pkg:vcpkg/a/b", "pkg:chrome-extension/" + strings.Repeat("a", 32), "pkg:chrome-extension/a",
		"pkg:pypi/a_b", "pkg:pypi/a-b", "pkg:pypi/A", "pkg:rpm/A/b", "pkg:rpm/a/B", "pkg:bitnami/A/b", "pkg:bitnami/a/B", "pkg:generic/./a", "pkg:generic/../a", "pkg:generic/.",
	} {
		compare(t, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		pieces := []string{
			"a", "B", "_", "-", ".", "..", "~", ":", "/", "%2F", "%41", "%40", "%C3%89", "%C3%A9", "%FF", "%3A", "%20", "+", "=", "&", "?", "#", "::",
			"a=b", "uuid=1", "b=c", "repository_url=databricks", "@", "1", "é", "%",
		}
		typ := rapid.SampledFrom([]string{
			"generic", "alpm", "apk", "bitbucket", "brew", "composer", "deb", "github", "golang", "rpm", "qpkg", "bitnami", "pypi", "mlflow", "cpan",
			"chrome-extension", "julia", "otp", "vcpkg", "swift", "vscode-extension", "npm", "huggingface", "conda", "hex", "oci", "docker", "x", ".x", "",
		}).Draw(t, "type")
		rest := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 10).Draw(t, "rest"), "")
		compare(t, "pkg:"+typ+"/"+rest)
	})
}
