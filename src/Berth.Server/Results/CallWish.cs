using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Results;

/// <summary>What a caller says of kept results: the request's Cache-Control (RFC 9111, section 5.2.1).</summary>
/// <param name="KeepsNothing"><c>no-store</c>: its result is its own.</param>
/// <param name="IsAnew"><c>no-cache</c>: it is executed, and what is kept is replaced.</param>
/// <param name="MaxAge"><c>max-age</c>: of what is kept, nothing older.</param>
internal readonly record struct CallWish(bool KeepsNothing, bool IsAnew, TimeSpan MaxAge)
{
    /// <summary>The same in words, for a call that is executed later; null where nothing was asked for.</summary>
    public string? Text => KeepsNothing ? "no-store"
        : IsAnew ? "no-cache"
        : MaxAge < TimeSpan.MaxValue
            ? string.Create(CultureInfo.InvariantCulture, $"max-age={(long)MaxAge.TotalSeconds}")
        : null;

    /// <summary>Words that are not known are not heeded, as the RFC says.</summary>
    public static CallWish Of(StringValues cacheControl)
    {
        CallWish wish = new(false, false, TimeSpan.MaxValue);
        foreach (string? line in cacheControl)
        {
            foreach (Range part in line.AsSpan().Split(','))
            {
                wish = wish.With(line.AsSpan(part).Trim());
            }
        }

        return wish;
    }

    private CallWish With(ReadOnlySpan<char> word)
    {
        const string Age = "max-age=";
        if (word.Equals("no-store", StringComparison.OrdinalIgnoreCase))
        {
            return this with { KeepsNothing = true };
        }

        if (word.Equals("no-cache", StringComparison.OrdinalIgnoreCase))
        {
            return this with { IsAnew = true };
        }

        return word.StartsWith(Age, StringComparison.OrdinalIgnoreCase)
            && int.TryParse(word[Age.Length..].Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out int age)
            ? this with { IsAnew = IsAnew || age == 0, MaxAge = TimeSpan.FromSeconds(age) }
            : this;
    }
}
