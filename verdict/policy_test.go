package verdict_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
	"vitrine.example/verdict"
)

const product = "pkg:generic/vitrine"

// policyOf trusts a world's vendor and log, and asks for k of its witnesses.
func policyOf(w *fixture.World, k int) *verdict.Policy {
	p := &verdict.Policy{
		Product: product,
		Log:     tlog.Policy{Logs: []tlog.PolicyLog{{Key: w.Log.Verifier()}}, Quorum: "none"},
		Signers: []verdict.Signer{{Name: "Vendor", Key: w.Vendor.Public(), May: []string{statement.ReleaseType}}},
	}
	var names []string
	for _, x := range w.Witnesses {
		p.Log.Witnesses = append(p.Log.Witnesses, tlog.PolicyWitness{Name: x.Name, Key: x.Verifier()})
		names = append(names, x.Name)
	}
	if k > 0 {
		p.Log.Groups = []tlog.PolicyGroup{{Name: "quorum", K: k, Members: names}}
		p.Log.Quorum = "quorum"
		p.MaxAge = 72 * time.Hour
	}
	return p
}

// policyFile is a whole policy file, to be changed by tests.
func policyFile(t testing.TB) string {
	t.Helper()
	w := fixture.New("policy", key.Ed25519, "ams", "fra", "sin")
	p := policyOf(w, 2)
	p.Channel, p.Versions = "stable", []string{"1.2.0", "1.2.1"}
	p.Operators = map[string]verdict.Operator{
		"ams": {Organisation: "Example \"Quoted\" B.V.", Country: "NL", Continent: "Europe"},
		"sin": {Country: "SG"},
	}
	p.Signers = append(p.Signers, verdict.Signer{Name: "Vendor 2", Key: fixture.StatementKey("second", key.P256).Public(), May: []string{statement.ReleaseType}})
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPolicyRoundTrip(t *testing.T) {
	w := fixture.New("policy", key.P256, "ams", "fra", "sin", "nyc")
	grouped := policyOf(w, 2)
	grouped.Log.Groups = []tlog.PolicyGroup{
		{Name: "europe", K: 1, Members: []string{"ams", "fra"}},
		{Name: "rest", K: 1, Members: []string{"sin", "nyc"}},
		{Name: "both", K: 2, Members: []string{"europe", "rest"}},
	}
	grouped.Log.Quorum = "both"
	single := policyOf(w, 2)
	single.Log.Groups, single.Log.Quorum = nil, "fra"
	aged := policyOf(w, 2)
	aged.MaxAge = 90*time.Minute + 30*time.Second
	for name, p := range map[string]*verdict.Policy{
		"quorum": policyOf(w, 2), "none": policyOf(w, 0), "groups": grouped, "one witness": single, "age": aged,
	} {
		b, err := p.Marshal()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		q, err := verdict.ParsePolicy(b)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, b)
		}
		again, err := q.Marshal()
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%s: second writing differs (%v):\n%s\n%s", name, err, b, again)
		}
		if q.MaxAge != p.MaxAge || q.Product != p.Product || len(q.Signers) != 1 || !q.Signers[0].Key.Equal(p.Signers[0].Key) {
			t.Errorf("%s: read back as %+v", name, q)
		}
		if got, want := strings.Join(q.Words(), "\n"), strings.Join(p.Words(), "\n"); got != want {
			t.Errorf("%s: words differ:\n%s\n%s", name, got, want)
		}
	}
}

// TestParsePolicyRefuses changes one thing in a good file and asks for the
// error's kind, line and words.
func TestParsePolicyRefuses(t *testing.T) {
	good := policyFile(t)
	if _, err := verdict.ParsePolicy([]byte(good)); err != nil {
		t.Fatalf("good file: %v\n%s", err, good)
	}
	// nth replaces the nth occurrence, from 1.
	nth := func(n int, old, new string) string {
		parts := strings.SplitAfterN(good, old, n+1)
		if len(parts) < n+1 {
			t.Fatalf("the sample has no %d × %q", n, old)
		}
		parts[n-1] = strings.TrimSuffix(parts[n-1], old) + new
		return strings.Join(parts, "")
	}
	line := func(n int, prefix string) string { // the nth line that begins so
		for _, l := range strings.Split(good, "\n") {
			if strings.HasPrefix(l, prefix) {
				if n--; n == 0 {
					return l + "\n"
				}
			}
		}
		t.Fatalf("no line %q", prefix)
		return ""
	}
	w := fixture.New("policy", key.Ed25519, "ams", "fra", "sin")
	logKey := w.Log.Verifier()
	hidden, err := tlog.NewVerifier("vendor\u202e.example", tlog.Ed25519, logKey.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	hiddenWitness, err := tlog.NewVerifier("fra\u009b2J", tlog.Ed25519Cosignature, w.Witnesses[1].Verifier().PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	asWitness, err := tlog.NewVerifier("log.example", tlog.Ed25519Cosignature, logKey.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	renamed, err := tlog.NewVerifier("renamed.example", tlog.Ed25519, logKey.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	asLog, err := tlog.NewVerifier("seller.example", tlog.Ed25519, w.Vendor.Public().Crypto())
	if err != nil {
		t.Fatal(err)
	}
	pem := good[strings.Index(good, "-----BEGIN"):strings.Index(good, "\"\"\"\nmay")]
	p384 := "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEhM6AR/E5+rwuiWx5YE07ZpSNlG9NCFLb\nm+gjNn0q5uByc7GmCwH3fUF3SFyTDCm6+lm9DMiSQHpFqt1IP6HpnAzMwseTOsS7\ncc1SxluRyLGYAJEFcNxc01Y/9cT79mf/\n-----END PUBLIC KEY-----\n"

	tests := map[string]struct {
		in   string
		want error
		at   string // start of the line that is named; empty: any
		says string
	}{
		"empty":                     {"", verdict.ErrValue, "", "version"},
		"not TOML":                  {"{}", verdict.ErrSyntax, "{}", ""},
		"no end of a string":        {nth(1, `channel = "stable"`, `channel = "stable`), verdict.ErrSyntax, `channel = `, ""},
		"not UTF-8":                 {nth(1, "stable", "sta\xffble"), verdict.ErrSyntax, "", ""},
		"too large":                 {good + strings.Repeat("#", verdict.MaxPolicy), verdict.ErrSyntax, "", "at most"},
		"deep nesting":              {"version = " + strings.Repeat("[", 20000), verdict.ErrSyntax, "version", ""},
		"version missing":           {nth(1, "version = 1\n", ""), verdict.ErrValue, "", "version = 1"},
		"version 2":                 {nth(1, "version = 1\n", "version = 2\n"), verdict.ErrValue, "version", "newer"},
		"version as text":           {nth(1, "version = 1\n", "version = \"1\"\n"), verdict.ErrSyntax, "version", ""},
		"unknown key":               {nth(1, "product =", "produkt ="), verdict.ErrUnknownKey, "produkt", "product"},
		"key in capitals":           {nth(1, "product =", "Product ="), verdict.ErrUnknownKey, "Product", ""},
		"key twice":                 {nth(1, "channel =", "product = \"pkg:generic/x\"\nchannel ="), verdict.ErrSyntax, `product = "pkg:generic/x"`, "twice"},
		"unknown table":             {good + "[status]\nrequire = 2\n", verdict.ErrUnknownKey, "[status]", "status"},
		"no rebuilds":               {good + "[rebuilds]\nrequire = 0\n", verdict.ErrValue, "require = 0", "1 to 64"},
		"nobody to rebuild":         {good + "[rebuilds]\nrequire = 2\n", verdict.ErrNeverMet, "require = 2", "only 0"},
		"unknown key in a table":    {nth(1, "require =", "requires ="), verdict.ErrUnknownKey, "requires", "require"},
		"table twice":               {good + "[witnesses]\nrequire = 1\n", verdict.ErrSyntax, "", "twice"},
		"list as table":             {nth(1, "[[log]]", "[log]"), verdict.ErrSyntax, "[log]", "[[log]]"},
		"table as list":             {nth(1, "[witnesses]", "[[witnesses]]"), verdict.ErrSyntax, "[[witnesses]]", "[witnesses]"},
		"inline table":              {nth(1, "[[log]]", "log = [{key = \"x\"}]\n[[log]]"), verdict.ErrUnknownKey, "log = ", ""},
		"dotted key":                {nth(1, "[witnesses]\n", "[witnesses]\nof.x = 1\n"), verdict.ErrSyntax, "of.x", "dotted"},
		"wrong type":                {nth(1, "channel = \"stable\"", "channel = 3"), verdict.ErrSyntax, "channel = 3", ""},
		"empty product":             {nth(1, "product = \""+product+"\"", "product = \"\""), verdict.ErrValue, "product", "leave the line out"},
		"empty versions":            {nth(1, line(1, "versions"), "versions = []\n"), verdict.ErrValue, "versions", "leave the line out"},
		"product with version":      {nth(1, product+"\"", product+"@1.0\""), verdict.ErrValue, "product", "version"},
		"product not a purl":        {nth(1, product+"\"", "vitrine\""), verdict.ErrValue, "product", "package URL"},
		"product not canonical":     {nth(1, product+"\"", "pkg:Generic/vitrine\""), verdict.ErrValue, "product", product},
		"channel in capitals":       {nth(1, `"stable"`, `"Stable"`), verdict.ErrValue, "channel", "a-z"},
		"version with a newline":    {nth(1, `"1.2.0"`, `"1.2\n0"`), verdict.ErrValue, "versions", ""},
		"version that none can be":  {nth(1, `"1.2.0"`, `"1.2.0 "`), verdict.ErrValue, "versions", "printable"},
		"version too long":          {nth(1, `"1.2.0"`, `"`+strings.Repeat("ä", 129)+`"`), verdict.ErrValue, "versions", "128"},
		"log name not printable":    {nth(1, logKey.String(), hidden.String()), verdict.ErrValue, "key", "printed"},
		"witness key not printable": {nth(1, w.Witnesses[1].Verifier().String(), hiddenWitness.String()), verdict.ErrValue, "key", "printed"},
		"organisation in capitals":  {nth(1, `country = "SG"`, `organisation = "EXAMPLE \"quoted\" B.V."`), verdict.ErrTwice, "of = ", "[[group]]"},
		"a version twice":           {nth(1, `"1.2.1"`, `"1.2.0"`), verdict.ErrValue, "versions", "twice"},
		"age not a time":            {nth(1, `"72h"`, `"three days"`), verdict.ErrValue, "max-age", "72h"},
		"age negative":              {nth(1, `"72h"`, `"-72h"`), verdict.ErrValue, "max-age", ""},
		"age zero":                  {nth(1, `"72h"`, `"0s"`), verdict.ErrValue, "max-age", ""},
		"age too short":             {nth(1, `"72h"`, `"59s"`), verdict.ErrValue, "max-age", "at least"},
		"age too long":              {nth(1, `"72h"`, `"90000h"`), verdict.ErrValue, "max-age", "at most"},
		"no log":                    {nth(1, "[[log]]\n"+line(1, "key"), ""), verdict.ErrNeverMet, "", "[[log]]"},
		"log without a key":         {nth(1, "[[log]]\n"+line(1, "key"), "[[log]]\n"), verdict.ErrValue, "[[log]]", ""},
		"log key malformed":         {nth(1, line(1, "key"), "key = \"vendor.example+00000000+AQID\"\n"), verdict.ErrValue, "key = \"vendor", ""},
		"log key with a bad hash":   {nth(1, logKey.String(), strings.Replace(logKey.String(), fmt.Sprintf("%08x", logKey.KeyID()), "00000000", 1)), verdict.ErrValue, "key", "hash"},
		"log key of a witness type": {nth(1, logKey.String(), asWitness.String()), verdict.ErrValue, "key", "not that of a log"},
		"log key twice":             {nth(1, "[[witness]]", "[[log]]\nkey = \""+renamed.String()+"\"\n[[witness]]"), verdict.ErrTwice, "key = \"renamed", "vendor.example"},
		"log is a witness":          {nth(1, w.Witnesses[0].Verifier().String(), asWitness.String()), verdict.ErrTwice, "key = \"log.example", "log vendor.example"},
		"log is a signer":           {nth(1, "[[witness]]", "[[log]]\nkey = \""+asLog.String()+"\"\n[[witness]]"), verdict.ErrTwice, "key = \"\"\"", "Vendor"},
		"witness key twice":         {nth(1, w.Witnesses[1].Verifier().String(), w.Witnesses[0].Verifier().String()), verdict.ErrTwice, "", "witness ams"},
		"witness key of a log":      {nth(1, w.Witnesses[1].Verifier().String(), asLog.String()), verdict.ErrValue, "key", "not that of a witness"},
		"witness name twice":        {nth(1, `name = "fra"`, `name = "ams"`), verdict.ErrValue, "", "twice"},
		"witness without a name":    {nth(1, "name = \"fra\"\n", ""), verdict.ErrValue, "[[witness]]", ""},
		"witness named none":        {nth(1, `name = "fra"`, `name = "none"`), verdict.ErrValue, `name = "none"`, ""},
		"witness named quorum":      {nth(1, `name = "fra"`, `name = "quorum"`), verdict.ErrValue, `name = "quorum"`, ""},
		"witness name with a space": {nth(1, `name = "fra"`, `name = "f ra"`), verdict.ErrValue, `name = "f ra"`, ""},
		"country in words":          {nth(1, `country = "SG"`, `country = "Singapore"`), verdict.ErrValue, "country", "ISO 3166"},
		"no such continent":         {nth(1, `"Europe"`, `"Atlantis"`), verdict.ErrValue, "continent", "Europe"},
		"empty organisation":        {nth(1, `country = "SG"`, "organisation = \"\""), verdict.ErrValue, "organisation = \"\"", "leave the line out"},
		"more than are listed":      {nth(1, "require = 2", "require = 4"), verdict.ErrNeverMet, "require = 4", "only 3"},
		"require zero":              {nth(1, "require = 2", "require = 0"), verdict.ErrValue, "require = 0", "at least 1"},
		"require missing":           {nth(1, "require = 2\n", ""), verdict.ErrValue, "[witnesses]", "at least 1"},
		"of somebody unknown":       {nth(1, `of = ["ams", "fra", "sin"]`, `of = ["ams", "fra", "tyo"]`), verdict.ErrValue, "of = ", "tyo"},
		"of the same twice":         {nth(1, `of = ["ams", "fra", "sin"]`, `of = ["ams", "ams", "sin"]`), verdict.ErrTwice, "of = ", "ams"},
		"of nobody":                 {nth(1, `of = ["ams", "fra", "sin"]`, `of = []`), verdict.ErrValue, "of = ", ""},
		"organisation twice":        {nth(1, `country = "SG"`, `organisation = "Example \"Quoted\" B.V."`), verdict.ErrTwice, "of = ", "[[group]]"},
		"group without witnesses":   {nth(1, "[witnesses]\nrequire = 2\n"+line(1, "of"), "[[group]]\nname = \"g\"\nrequire = 1\nof = [\"ams\"]\n"), verdict.ErrValue, `name = "g"`, "[witnesses]"},
		"groups, no of":             {nth(1, line(1, "of"), "[[group]]\nname = \"g\"\nrequire = 1\nof = [\"ams\"]\n"), verdict.ErrValue, "[witnesses]", "of ="},
		"group named quorum":        {nth(1, "[witnesses]", "[[group]]\nname = \"quorum\"\nrequire = 1\nof = [\"ams\"]\n[witnesses]"), verdict.ErrValue, `name = "quorum"`, ""},
		"group of more than listed": {nth(1, "[witnesses]", "[[group]]\nname = \"g\"\nrequire = 2\nof = [\"ams\"]\n[witnesses]"), verdict.ErrNeverMet, "require = 2", "only 1"},
		"member of two":             {nth(1, "[witnesses]", "[[group]]\nname = \"g\"\nrequire = 1\nof = [\"ams\"]\n[witnesses]"), verdict.ErrTwice, `of = ["ams", "fra", "sin"]`, "ams"},
		"no signer":                 {good[:strings.Index(good, "[[signer]]")], verdict.ErrNeverMet, "", "[[signer]]"},
		"signer without a name":     {nth(1, "name = \"Vendor\"\n", ""), verdict.ErrValue, "[[signer]]", "name"},
		"signer name twice":         {nth(1, `name = "Vendor 2"`, `name = "Vendor"`), verdict.ErrValue, "", "twice"},
		"signer key twice":          {nth(1, good[strings.LastIndex(good, "-----BEGIN"):strings.LastIndex(good, "\"\"\"\nmay")], pem), verdict.ErrTwice, "key = \"\"\"", "Vendor"},
		"signer key malformed":      {nth(1, pem, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), verdict.ErrValue, "key = \"\"\"", ""},
		"signer key with CR":        {strings.ReplaceAll(good, "\n", "\r\n"), verdict.ErrValue, "key = \"\"\"", "line feeds alone"},
		"signer key of P-384":       {nth(1, pem, p384), verdict.ErrValue, "key = \"\"\"", ""},
		"signer key missing":        {nth(1, "key = \"\"\"\n"+pem+"\"\"\"\n", ""), verdict.ErrValue, "[[signer]]", ""},
		"may nothing":               {nth(1, `may = ["release/v1"]`, `may = []`), verdict.ErrValue, "may = []", "release/v1"},
		"may missing":               {nth(1, "may = [\"release/v1\"]\n", ""), verdict.ErrValue, "[[signer]]", "release/v1"},
		"may something unknown":     {nth(1, `may = ["release/v1"]`, `may = ["release/v2"]`), verdict.ErrValue, "may", "known: release/v1"},
		"may with the whole type":   {nth(1, `may = ["release/v1"]`, `may = ["`+statement.ReleaseType+`"]`), verdict.ErrValue, "may", ""},
		"may the same twice":        {nth(1, `may = ["release/v1"]`, `may = ["release/v1", "release/v1"]`), verdict.ErrValue, "may", "twice"},
		"age, nobody signs a time":  {"version = 1\nmax-age = \"1h\"\n" + good[strings.Index(good, "[[log]]"):strings.Index(good, "# Witnesses")] + good[strings.Index(good, "[[signer]]"):], verdict.ErrNeverMet, "max-age", "time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := verdict.ParsePolicy([]byte(tt.in))
			if err == nil {
				t.Fatalf("accepted\n%s", tt.in)
			}
			if p != nil {
				t.Error("a policy is returned with the error")
			}
			var perr *verdict.PolicyError
			if !errors.As(err, &perr) {
				t.Fatalf("error %T %v, want a *PolicyError", err, err)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %q, want one of kind %q", err, tt.want)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
			if tt.at != "" {
				lines := strings.Split(tt.in, "\n")
				if perr.Line < 1 || perr.Line > len(lines) {
					t.Fatalf("error %q names line %d of %d", err, perr.Line, len(lines))
				}
				if got := lines[perr.Line-1]; !strings.HasPrefix(got, tt.at) {
					t.Errorf("error %q names the line %q, want %q", err, got, tt.at)
				}
			}
			if strings.ContainsAny(err.Error(), "\x1b\x00") {
				t.Errorf("error %q has control characters", err)
			}
		})
	}
}

// Every version that a release can have can be asked for.
func TestPolicyAsksForAnyVersion(t *testing.T) {
	s := newScene(key.Ed25519)
	for _, v := range []string{"2.0 édition 🔒", `1"\\2`, strings.Repeat("ä", 128)} {
		s.only(s.release(s.world.Vendor, v))
		s.policy.Versions = []string{v}
		text, err := s.policy.Marshal()
		if err != nil {
			t.Errorf("%q: %v", v, err)
			continue
		}
		p, err := verdict.ParsePolicy(text)
		if err != nil {
			t.Errorf("%q: %v", v, err)
			continue
		}
		if got := verdict.Evaluate(p, s.input); !got.Accepted || got.Version != v {
			t.Errorf("%q: version %q\n%s", v, got.Version, got)
		}
	}
}

func TestPolicyWithoutPurpose(t *testing.T) {
	p := &verdict.Policy{}
	if _, err := p.Marshal(); !errors.Is(err, verdict.ErrNeverMet) {
		t.Errorf("Marshal of the empty policy: %v", err)
	}
	if words := p.Words(); len(words) != 1 || !strings.Contains(words[0], "cannot be used") {
		t.Errorf("words of the empty policy: %q", words)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(policyFile(f)))
	f.Add([]byte("version = 1\n[[signer]]\nmay = [\"release/v1\"]\n"))
	f.Add([]byte("[[group]]\nname = 'g'\nrequire = 1\nof = ['a']\n[witnesses]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := verdict.ParsePolicy(b)
		if err != nil {
			var perr *verdict.PolicyError
			if p != nil || !errors.As(err, &perr) {
				t.Fatalf("policy %v, error %T %v", p, err, err)
			}
			return
		}
		text, err := p.Marshal()
		if err != nil {
			t.Fatalf("accepted, but cannot be written: %v", err)
		}
		q, err := verdict.ParsePolicy(text)
		if err != nil {
			t.Fatalf("cannot be read back: %v\n%s", err, text)
		}
		if again, err := q.Marshal(); err != nil || !bytes.Equal(text, again) {
			t.Fatalf("second writing differs (%v)", err)
		}
	})
}
