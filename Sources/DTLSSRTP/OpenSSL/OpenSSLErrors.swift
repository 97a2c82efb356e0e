import COpenSSL

/// The oldest reason in this thread's error queue, which is then emptied.
func lastOpenSSLError() -> String {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0 else { return "no reason given" }
    if let reason = unsafe ERR_reason_error_string(code) { return unsafe String(cString: reason) }
    return "error \(String(code, radix: 16))"
}
