using Berth.Server.FunctionEndpoints;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.LambdaEndpoints;

/// <summary>The addresses of AWS Lambda's own interface, which its clients know.</summary>
internal static class AwsApi
{
    public const string Root = "/2015-03-31";
    public const string Functions = Root + "/functions";
    public const string RequestId = "x-amzn-RequestId";

    /// <summary>What the owner of a function is named by it; no alias or number.</summary>
    public const string Latest = "$LATEST";

    private const string NameMark = "function:";

    public static bool IsCalledBy(HttpRequest request) =>
        request.Path.StartsWithSegments(Root, StringComparison.OrdinalIgnoreCase)
        && !HostedCall.Is(request.HttpContext);

    public static bool IsPattern(string pattern) => pattern.StartsWith(Root + "/", StringComparison.Ordinal);

    /// <summary>Name and qualifier of <c>NAME</c>, <c>NAME:ALIAS</c>, <c>ACCOUNT:function:NAME</c> or an ARN; the
    /// qualifier is null where there is none.</summary>
    public static (string Name, string? Qualifier) Parse(string text)
    {
        int mark = text.LastIndexOf(NameMark, StringComparison.Ordinal);
        string name = mark < 0 ? text : text[(mark + NameMark.Length)..];
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? (name, null) : (name[..colon], name[(colon + 1)..]);
    }

    /// <summary>As <c>NAME@REVISION</c>, which Berth's own addresses take.</summary>
    public static string Reference(string name, string? qualifier) =>
        qualifier is null or Latest ? name : $"{name}@{qualifier}";
}
