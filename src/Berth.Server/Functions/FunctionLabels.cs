namespace Berth.Server.Functions;

/// <summary>Labels of the runs of functions.</summary>
internal static class FunctionLabels
{
    public const string Function = "function";
    public const string Revision = "revision";

    /// <summary>Given by who deploys: the set of files that a function comes from.</summary>
    public const string Project = "berth.project";
}
