using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Access;

/// <summary>Whose the Authorization of a request is that needs no token: the program's own, unless it holds something
/// that looks like a token of Berth's, valid or not. Such a one never leaves the server.</summary>
internal static class OwnAuthorization
{
    private const string Basic = "Basic ";

    public static bool IsOfProgram(HttpRequest request)
    {
        StringValues header = request.Headers.Authorization;
        if (header.Count != 1 || header[0] is not { Length: > 0 } text || HoldsToken(text))
        {
            return false;
        }

        return !text.StartsWith(Basic, StringComparison.OrdinalIgnoreCase)
            || !HoldsToken(Decode(text[Basic.Length..]));
    }

    private static bool HoldsToken(string text) => text.Contains(TokenText.Prefix, StringComparison.OrdinalIgnoreCase);

    /// <summary>What is no base 64 holds nothing.</summary>
    private static string Decode(string credentials)
    {
        byte[] bytes = new byte[credentials.Length];
        return Convert.TryFromBase64String(credentials.Trim(), bytes, out int length)
            ? Encoding.Latin1.GetString(bytes, 0, length)
            : "";
    }
}
