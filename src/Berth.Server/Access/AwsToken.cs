using Berth.Server.LambdaEndpoints;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Access;

/// <summary>
/// The token of a client of AWS, which signs its requests and can't send a Bearer: it stands where such clients put
/// secrets, in the session token. The signature is not looked at: what it would prove, the token beside it has proven.
/// </summary>
internal static class AwsToken
{
    private const string Signature = "AWS4-HMAC-SHA256 ";
    private const string SessionHeader = "X-Amz-Security-Token";

    /// <summary>Null where there is none, or the address is none of AWS's.</summary>
    public static Caller? TryAuthenticate(HttpRequest request, TokenStore tokens)
    {
        string? header = request.Headers.Authorization;
        return header?.StartsWith(Signature, StringComparison.Ordinal) == true && AwsApi.IsCalledBy(request)
            ? tokens.Find(request.Headers[SessionHeader].ToString())
            : null;
    }
}
