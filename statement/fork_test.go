package statement_test

import (
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

func aForkAccepted() *statement.ForkAccepted {
	return &statement.ForkAccepted{Log: "log.example/2030", Reason: "two machines had the key; the vendor has explained it", At: circleTime}
}

func TestForkAcceptedRoundTrip(t *testing.T) {
	f, d := aForkAccepted(), digest.Of([]byte("evidence"))
	if _, err := statement.New(f.Subjects(d), f); err != nil {
		t.Errorf("without the checkpoints: %v", err)
	}
	s, err := statement.New(f.Subjects(d, digest.Of([]byte("a")), digest.Of([]byte("b"))), f)
	if err != nil {
		t.Fatal(err)
	}
	env, err := statement.Sign(s, newSigner(t, key.P256))
	if err != nil {
		t.Fatal(err)
	}
	read, err := statement.Parse(env.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	g, err := read.Statement().ForkAccepted()
	if err != nil || *g != *f || read.Statement().Subject[0].SHA256() != d {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := read.Statement().Leave(); err == nil {
		t.Error("read as another predicate")
	}
	if err := schemaSays(t, "fork-accepted-v1.schema.json", f); err != nil {
		t.Error(err)
	}
}

// What Validate refuses; where schema is set, the schema refuses it too.
func TestHostileForkAccepted(t *testing.T) {
	d := digest.Of([]byte("evidence"))
	for name, x := range map[string]struct {
		change func(f *statement.ForkAccepted, s *[]statement.Subject)
		says   string
		schema bool
	}{
		"no log":                {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Log = "" }, "log", true},
		"log with a newline":    {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Log = "a\nb" }, "log", false},
		"log with a space last": {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Log += " " }, "log", false},
		"log too long":          {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Log = strings.Repeat("a", 256) }, "log", true},
		"long in bytes":         {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Log = strings.Repeat("ä", 128) }, "log", false},
		"no reason":             {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Reason = "" }, "reason", true},
		"reason too long":       {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Reason = strings.Repeat("a", 201) }, "reason", true},
		"reason of two lines":   {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Reason = "a\nb" }, "reason", false},
		"no time":               {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.At = time.Time{} }, "at", true},
		"local time": {func(f *statement.ForkAccepted, _ *[]statement.Subject) {
			f.At = circleTime.In(time.FixedZone("x", 3600))
		}, "at", true},
		"no subject": {func(_ *statement.ForkAccepted, s *[]statement.Subject) { *s = nil }, "subject", false},
		"two subjects": {func(_ *statement.ForkAccepted, s *[]statement.Subject) {
			*s = append(*s, statement.NewSubject("x", digest.Of([]byte("x"))))
		}, "subject", false},
		"four subjects": {func(f *statement.ForkAccepted, s *[]statement.Subject) {
			*s = f.Subjects(d, digest.Of([]byte("a")), digest.Of([]byte("b")), digest.Of([]byte("c")))
		}, "subject", false},
		"side of another log": {func(f *statement.ForkAccepted, s *[]statement.Subject) {
			*s = append(f.Subjects(d, digest.Of([]byte("a"))), statement.NewSubject("x", digest.Of([]byte("b"))))
		}, "subject", false},
		"subject of another log": {func(f *statement.ForkAccepted, _ *[]statement.Subject) { f.Log = "other.example" }, "subject", false},
		"subject without digest": {func(f *statement.ForkAccepted, s *[]statement.Subject) {
			*s = f.Subjects(digest.Digest{})
		}, "digest", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := aForkAccepted()
			s := f.Subjects(d)
			x.change(f, &s)
			err := f.Validate(s)
			if err == nil || !strings.Contains(err.Error(), x.says) {
				t.Fatalf("%v, want %q", err, x.says)
			}
			if bySchema := schemaSays(t, "fork-accepted-v1.schema.json", f); x.schema != (bySchema != nil) {
				t.Errorf("the schema says %v, want a refusal: %t", bySchema, x.schema)
			}
		})
	}
}
