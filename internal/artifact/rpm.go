package artifact

// rpms compares two packages of RPM.
func (s *session) rpms(p place, a, b blob) (outcome, error) {
	return s.bytes(p, a, b), s.ctx.Err()
}
