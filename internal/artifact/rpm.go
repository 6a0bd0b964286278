package artifact

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"

	"vitrine.example/digest"
	"vitrine.example/internal/artifact/archive"
)

// payloadDigest is the tag of the SHA-256 of the compressed payload.
const payloadDigest = 5092

// rpms compares two packages of RPM: payload, header, signatures, lead.
func (s *session) rpms(p place, a, b blob) (outcome, error) {
	x, err := archive.ReadRPM(a.SectionReader)
	if err != nil {
		return outcome{}, whose("shipped", err)
	}
	y, err := archive.ReadRPM(b.SectionReader)
	if err != nil {
		return outcome{}, whose("rebuilt", err)
	}
	p.pol.System = true
	out := outcome{verdict: Identical, rung: RungStream}
	pa, pb := payloadOf(a, x), payloadOf(b, y)
	eq, err := same(s.ctx, pa, pb)
	if err != nil {
		return out, err
	}
	if !eq {
		one, err := s.files(p.in("payload"), pa, pb)
		if err != nil {
			return out, err
		}
		out.join(one)
	}
	proven, err := s.payload(p, pa, x, len(out.diffs) == 0)
	if err != nil {
		return out, err
	}
	if !proven && len(out.diffs) == 0 {
		out.diffs = append(out.diffs, Difference{Where: p.where, What: "digest of the payload", Shipped: "wrong", Rebuilt: ""})
	}
	out.add(rpmHeaders(p, x, y, proven))
	if !bytes.Equal(x.Lead, y.Lead) {
		out.diffs = append(out.diffs, Difference{Where: p.where, What: "lead", Shipped: hex.EncodeToString(bytes.TrimRight(x.Lead, "\x00")), Rebuilt: hex.EncodeToString(bytes.TrimRight(y.Lead, "\x00"))})
	}
	if len(out.diffs) > 0 {
		out.rung = RungNone
	}
	return out.settled(), nil
}

func payloadOf(b blob, r *archive.RPMPackage) blob {
	return blob{io.NewSectionReader(b, r.Payload, b.Size()-r.Payload), "payload"}
}

// payload verifies the digest that the shipped header gives of its payload.
func (s *session) payload(p place, a blob, r *archive.RPMPackage, fine bool) (bool, error) {
	want := r.Head.Hex(payloadDigest)
	if !fine || want == "" {
		return fine, nil
	}
	d, _, err := digest.OfReader(&live{s.ctx, io.NewSectionReader(a, 0, a.Size())}, nil)
	return hex.EncodeToString(d[:]) == want, err
}

func rpmHeaders(p place, x, y *archive.RPMPackage, proven bool) (out outcome) {
	deltas, ok := archive.CompareRPM(x.Head, y.Head, proven)
	for _, d := range deltas {
		switch {
		case d.Content():
		case d.Cause == "" || !ok && proven:
			out.diffs = append(out.diffs, Difference{Where: p.where, What: d.Field, Shipped: d.Shipped, Rebuilt: d.Rebuilt})
		default:
			out.causes = append(out.causes, Cause{Name: string(d.Cause), Where: p.where, Example: d.Field, Shipped: d.Shipped, Rebuilt: d.Rebuilt, Proved: ok, Proof: proofPatched})
		}
	}
	if !ok && len(out.diffs) == 0 && proven {
		out.diffs = append(out.diffs, Difference{Where: p.where, What: "layout of the header", Shipped: fmt.Sprintf("%d bytes", len(x.Head.Raw)), Rebuilt: fmt.Sprintf("%d bytes", len(y.Head.Raw))})
	}
	if bytes.Equal(x.Signature.Raw, y.Signature.Raw) {
		return out
	}
	a, b := signatureText(x), signatureText(y)
	if x.SignatureOnly() && y.SignatureOnly() {
		out.causes = append(out.causes, Cause{Name: string(archive.CauseSigning), Where: p.where, Shipped: a, Rebuilt: b, Proved: true, Proof: proofAttached})
		return out
	}
	out.diffs = append(out.diffs, Difference{Where: p.where, What: "header of signatures", Shipped: a, Rebuilt: b})
	return out
}

func signatureText(r *archive.RPMPackage) string {
	return fmt.Sprintf("%d values in %d bytes", len(r.Signature.Tags), len(r.Signature.Raw))
}
