using Berth.Core.Functions;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.FunctionEndpoints;

/// <summary>A request's headers and cookies, for the rules that choose a revision by them. Cookies are looked for in
/// the header itself: the framework decodes them, and rules are exact.</summary>
internal sealed class CallWords(IHeaderDictionary headers) : ICallWords
{
    public IReadOnlyList<string?> Headers(string name) => headers[name];

    public IReadOnlyList<string?> Cookies(string name) => CookiesOf(headers, name);

    public static IReadOnlyList<string> CookiesOf(IHeaderDictionary headers, string name)
    {
        List<string> found = [];
        foreach (string? line in headers.Cookie)
        {
            foreach (Range part in line.AsSpan().Split(';'))
            {
                ReadOnlySpan<char> cookie = line.AsSpan(part).Trim(' ');
                if (cookie.Length > name.Length && cookie[name.Length] == '='
                    && cookie.StartsWith(name, StringComparison.Ordinal))
                {
                    found.Add(cookie[(name.Length + 1)..].ToString());
                }
            }
        }

        return found;
    }
}
