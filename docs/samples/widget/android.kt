// The help page in an Android app; needs androidx.webkit:webkit and androidx.lifecycle:lifecycle-runtime-ktx.

package example.help

import android.content.ActivityNotFoundException
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.webkit.WebResourceRequest
import android.webkit.WebView
import android.webkit.WebViewClient
import androidx.appcompat.app.AppCompatActivity
import androidx.lifecycle.lifecycleScope
import androidx.webkit.WebViewCompat
import androidx.webkit.WebViewFeature
import kotlinx.coroutines.launch
import org.json.JSONException
import org.json.JSONObject

private const val SERVICE = "https://help.example"

class HelpActivity : AppCompatActivity() {
    private lateinit var web: WebView

    /** Asks your server, which signs a token for whoever is signed in to the app; null is a guest. */
    private suspend fun token(): String? = null // TODO: yours

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        web = WebView(this)
        web.settings.javaScriptEnabled = true
        web.settings.domStorageEnabled = true
        web.settings.allowFileAccess = false
        web.settings.allowContentAccess = false
        web.webViewClient = OnlyHelp()
        // Unlike addJavascriptInterface, this is there for pages of our origin and for no others. A web view too old for it helps guests.
        if (WebViewFeature.isFeatureSupported(WebViewFeature.WEB_MESSAGE_LISTENER)) {
            WebViewCompat.addWebMessageListener(web, "makegoodHost", setOf(SERVICE)) { _, message, _, isMainFrame, _ ->
                if (isMainFrame) heard(message.data)
            }
        }
        setContentView(web)
        val show = intent.getStringExtra("show")
        val page = Uri.parse(SERVICE).buildUpon().appendPath("help").appendPath("northern")
        if (show != null) page.appendQueryParameter("show", show)
        web.loadUrl(page.build().toString())
    }

    private fun heard(text: String?) {
        val type = try { JSONObject(text ?: "{}").optString("type") } catch (_: JSONException) { "" }
        when (type) {
            "token" -> lifecycleScope.launch { give(token() ?: "") }
            "close" -> finish()
        }
    }

    /** Quoted, so that whatever is in it stays data; and only to the page that is ours. */
    private fun give(token: String) {
        if (!isOurs(Uri.parse(web.url ?: ""))) return
        web.evaluateJavascript("window.postMessage({type: 'makegood:token', token: ${JSONObject.quote(token)}}, location.origin)", null)
    }

    private fun isOurs(address: Uri): Boolean =
        "${address.scheme}://${address.encodedAuthority}" == SERVICE && address.path.orEmpty().startsWith("/help")

    /** This view shows the help page and nothing else: other addresses, mail and telephone open where they belong. */
    private inner class OnlyHelp : WebViewClient() {
        override fun shouldOverrideUrlLoading(view: WebView, request: WebResourceRequest): Boolean {
            if (isOurs(request.url)) return false
            if (request.url.scheme in setOf("https", "mailto", "tel")) {
                try { startActivity(Intent(Intent.ACTION_VIEW, request.url)) } catch (_: ActivityNotFoundException) { }
            }
            return true
        }
    }
}
