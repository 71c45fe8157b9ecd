/** The workflow bundle that published workers load, so that they need no webpack at start. */
import { sep } from 'node:path';
import { bundleWorkflowCode, type BundleOptions } from '@temporalio/worker';

type WebpackConfig = Parameters<NonNullable<BundleOptions['webpackConfigHook']>>[0];

/**
 * @param root what the module names in the bundle are relative to: no path of the building machine gets into it
 * @throws Error where a workflow reaches a module that a workflow cannot have, such as one of Node's
 */
export async function bundleWorkflows(root: string, workflowsPath: string): Promise<string> {
  const quiet = (): void => undefined;
  const report = (message: string): boolean => process.stderr.write(`${message}\n`);
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    // Evaluated once per worker in place of once per workflow: our modules keep nothing of a workflow in module scope.
    preloadModules: [workflowsPath],
    logger: { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: report, error: report },
    webpackConfigHook: (config) => slim(config, root),
  });
  return code;
}

/**
 * The SDK's own settings make 1.7 MB, two thirds of it a source map with everybody's sources inside. The SDK wants a map
 * (it places stack traces by it): one of lines, to the files as published, is 0.1 MB.
 */
function slim(config: WebpackConfig, root: string): WebpackConfig {
  const rules = config.module?.rules?.filter((rule) => !isSourceMapLoader(rule)) ?? [];
  return {
    ...config,
    context: root,
    devtool: 'inline-nosources-cheap-source-map',
    module: { ...config.module, rules },
    output: {
      ...config.output,
      pathinfo: false,
      devtoolModuleFilenameTemplate: ({ absoluteResourcePath }: { absoluteResourcePath: string }) =>
        published(absoluteResourcePath, root),
    },
  };
}

function isSourceMapLoader(rule: unknown): boolean {
  return typeof rule === 'object' && rule !== null && 'enforce' in rule && rule.enforce === 'pre';
}

/** Webpack also has names such as `ignored|/a/b|module`; packages may lie outside of the root, through links. */
function published(resource: string, root: string): string {
  const here = root.endsWith(sep) ? root : root + sep;
  const inside = resource.replaceAll(here, '').split(sep).join('/');
  return inside.replace(/^[^|]*\/(?=node_modules\/)/, '');
}
