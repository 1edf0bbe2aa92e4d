// The help page in an iOS app (iOS 14 and newer): present HelpViewController(service: URL(string: "https://help.example")!, …).

import UIKit
import WebKit

final class HelpViewController: UIViewController, WKScriptMessageHandler, WKNavigationDelegate {
    private let page: URL
    private let token: () async -> String?
    private lazy var web = WKWebView(frame: .zero, configuration: configuration())

    /// `token` asks your server, which signs one for whoever is signed in to the app; nil is a guest.
    init(service: URL, platform: String, show: String? = nil, token: @escaping () async -> String?) {
        var parts = URLComponents(url: service.appendingPathComponent("help/\(platform)"), resolvingAgainstBaseURL: false)!
        parts.queryItems = show.map { [URLQueryItem(name: "show", value: $0)] }
        page = parts.url!
        self.token = token
        super.init(nibName: nil, bundle: nil)
    }

    @available(*, unavailable)
    required init?(coder: NSCoder) { fatalError("made in code") }

    override func loadView() { view = web }

    override func viewDidLoad() {
        super.viewDidLoad()
        web.navigationDelegate = self
        web.load(URLRequest(url: page))
    }

    private func configuration() -> WKWebViewConfiguration {
        let configuration = WKWebViewConfiguration()
        // The controller keeps its handler for good: through a weak reference this screen can go.
        configuration.userContentController.add(Weakly(self), name: "makegood")
        return configuration
    }

    func userContentController(_ controller: WKUserContentController, didReceive message: WKScriptMessage) {
        let sender = message.frameInfo
        guard sender.isMainFrame, isOurs(sender.securityOrigin),
              let said = message.body as? [String: Any], let type = said["type"] as? String else { return }
        switch type {
        case "token": Task { @MainActor in await self.give() }
        case "close": dismiss(animated: true)
        default: break  // "open", "resolved"
        }
    }

    /// As an argument and not as text of a script: whatever is in it stays data.
    @MainActor private func give() async {
        let token = await self.token() ?? ""
        _ = try? await web.callAsyncJavaScript(
            "window.postMessage({ type: 'makegood:token', token: token }, location.origin)",
            arguments: ["token": token], in: nil, contentWorld: .page)
    }

    private func isOurs(_ origin: WKSecurityOrigin) -> Bool {
        origin.protocol == page.scheme && origin.host == page.host && origin.port == (page.port ?? 0)
    }

    /// This view shows the help page and nothing else: other addresses, mail and telephone open where they belong.
    func webView(_ webView: WKWebView, decidePolicyFor action: WKNavigationAction,
                 decisionHandler: @escaping (WKNavigationActionPolicy) -> Void) {
        guard let url = action.request.url, action.targetFrame?.isMainFrame ?? true else { return decisionHandler(.allow) }
        if url.scheme == page.scheme, url.host == page.host, url.port == page.port, url.path.hasPrefix("/help") { return decisionHandler(.allow) }
        if ["https", "mailto", "tel"].contains(url.scheme ?? "") { UIApplication.shared.open(url) }
        decisionHandler(.cancel)
    }
}

private final class Weakly: NSObject, WKScriptMessageHandler {
    private weak var handler: WKScriptMessageHandler?
    init(_ handler: WKScriptMessageHandler) { self.handler = handler }
    func userContentController(_ controller: WKUserContentController, didReceive message: WKScriptMessage) {
        handler?.userContentController(controller, didReceive: message)
    }
}
