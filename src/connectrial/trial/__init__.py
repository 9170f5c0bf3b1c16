"""What a trial is made of, as tables in and tables out: visits, scales, endpoints, flow."""
