package web

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vitrine.example/internal/witness"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// words are the functions of the templates.
var words = template.FuncMap{
	"short":       func(s fmt.Stringer) string { return s.String()[:12] + "…" },
	"bytes":       humanBytes,
	"commas":      commas,
	"utc":         func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") },
	"day":         func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"moment":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"rfc3339":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"kind":        shortType,
	"access":      accessWords,
	"shell":       shell,
	"product":     productName,
	"sentence":    sentence,
	"clip":        func(s string) string { return s[:min(len(s), 48)] + "…" },
	"vkeykind":    vkeyKind,
	"add":         func(a, b int64) int64 { return a + b },
	"originhash":  func(origin string) string { return fmt.Sprintf("%x", witness.OriginHash(origin)) },
	"outcomesays": outcomeSays,
	"reasonsays":  reasonSays,
	"jobstate":    jobState,
	"plain":       plain,
	"seq":         func(n int) int { return n + 1 },
	"web":         func(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") },
}

// shortType is a predicate type as a table shows it.
func shortType(t string) string {
	if own, ok := strings.CutPrefix(t, statement.Prefix); ok {
		return own
	}
	return strings.TrimPrefix(t, "https://")
}

// accessWords says what an access class means to a reader (DESIGN §3).
func accessWords(class string) string {
	switch class {
	case "public":
		return "anyone may have it"
	case "circle":
		return "only nodes of the circle may have it"
	case "room":
		return "it never leaves a reading room; only its digest is public"
	case "sealed":
		return "encrypted to its readers; only its digest is public"
	}
	return "not said"
}

// commas writes 1234567 as 1,234,567.
func commas(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// humanBytes writes a size in decimal units.
func humanBytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	f, units := float64(n), []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	i := -1
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if f < 10 {
		return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) + " " + units[i]
	}
	return strconv.FormatFloat(math.Round(f), 'f', -1, 64) + " " + units[i]
}

// productName is the name at the end of a package URL, for headings.
func productName(purl string) string {
	s, _, _ := strings.Cut(purl, "?")
	s, _, _ = strings.Cut(s, "#")
	s = s[strings.LastIndexByte(s, '/')+1:]
	s, _, _ = strings.Cut(s, "@")
	if name, err := url.PathUnescape(s); err == nil && name != "" && printable([]byte(name)) {
		return name
	}
	return purl
}

// shell writes a file name with a suffix so that a shell takes it as exactly
// that, whatever the signer called the file.
func shell(name, suffix string) string {
	plain := name != ""
	for _, c := range []byte(name) {
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._+-/@,:", c) >= 0)
	}
	if strings.HasPrefix(name, "-") {
		name = "./" + name // not a flag
	}
	name += suffix
	if plain {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// sentence writes an error as a sentence.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// vkeyKind says of what kind a verifier key is.
func vkeyKind(vkey string) string {
	v, err := tlog.ParseVerifier(vkey)
	switch {
	case err != nil:
		return "unknown"
	case v.Type() == tlog.MLDSA44Cosignature:
		return "ML-DSA-44"
	}
	return "Ed25519"
}
